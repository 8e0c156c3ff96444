"""What alembic runs: our migrations, on the connection and in the transaction of `schema.upgrade`."""

from alembic import context

from billcore.store.schema import VERSION_TABLE
from billcore.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
