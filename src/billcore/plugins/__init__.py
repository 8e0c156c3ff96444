"""The contracts plugin authors import, and the registry that finds what is installed.

A plugin is a module named by an entry point of the group `billcore`. It marks functions with
`billcore.plugins.hookspecs.hookimpl` and imports nothing of billcore but `billcore.plugins` and
`billcore.testing`.
"""
