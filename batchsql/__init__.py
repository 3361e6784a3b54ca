"""SQL over a batch: one statement per table writes any number of rows, each column as one array (decision 1).

`statements` builds the text, once, when a module is imported; `running` runs it. Services write their SELECTs in full.
"""

from batchsql.running import execute, execute_newest, fetch, insert_new, lock
from batchsql.statements import IN_ORDER_GIVEN, insert_rows, keep_newest, update_rows

__all__ = [
    # Statements
    "insert_rows",
    "update_rows",
    "keep_newest",
    "IN_ORDER_GIVEN",
    # Running them
    "execute",
    "execute_newest",
    "insert_new",
    "fetch",
    "lock",
]
