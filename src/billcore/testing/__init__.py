"""The shipped kit for plugin authors and hosts: conformance suites, fakes, builders, a test clock."""
