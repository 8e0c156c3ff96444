"""The only place that speaks SQL: tables, batch load and save, migrations."""
