"""Which migrations old code can't live with, or that hold up a table in use: a linter over the operations themselves.

`python -m tests.architecture.expand_only` prints the findings of the project at hand as JSON. django-migration-linter
(6.0.0) reads the SQL of a migration as a whole: a column with a default in the database after one without hides the
latter from it, and that is the one mistake that Django makes easy (`default=` is Python's alone).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from django.contrib.postgres import operations as postgres
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

#: Old code does not notice these, and they wait for nobody for long.
HARMLESS = (
    migrations.CreateModel,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.AlterModelTableComment,
    migrations.RemoveConstraint,
    postgres.AddIndexConcurrently,
    postgres.RemoveIndexConcurrently,
    postgres.AddConstraintNotValid,
    postgres.ValidateConstraint,
)
GONE = (migrations.RemoveField, migrations.DeleteModel)
RENAMED = (migrations.RenameField, migrations.RenameModel, migrations.AlterModelTable)
OPAQUE = (migrations.RunSQL, migrations.RunPython)


def findings(migration: migrations.Migration, before: ProjectState) -> list[str]:
    """Return what is wrong with a migration; `before` is the state that it starts from. It is changed."""
    new: set[str] = set()
    found: list[str] = []
    for operation in _flat(migration.operations):
        model = str(getattr(operation, "model_name", "") or getattr(operation, "name", "")).lower()
        if isinstance(operation, migrations.CreateModel):
            new.add(model)
        elif model not in new or isinstance(operation, OPAQUE):
            problem = _problem(operation, migration.app_label, before)
            found += [f"{operation.describe()}: {problem}"] if problem else []
        operation.state_forwards(migration.app_label, before)
    return found


def _flat(operations: list[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _problem(operation: Operation, app: str, before: ProjectState) -> str:
    """Say what is wrong with an operation on a table that was there before; "" when nothing is."""
    if isinstance(operation, migrations.AddField):
        return _of_new_field(operation.field)
    if isinstance(operation, migrations.AlterField):
        return _of_change(before.models[app, operation.model_name_lower].fields[operation.name], operation.field)
    if isinstance(operation, HARMLESS):
        return ""
    if isinstance(operation, GONE):
        return "old code still reads and writes it; remove it once no old code runs"
    if isinstance(operation, RENAMED):
        return "old code knows the old name only; add the new one beside it"
    if isinstance(operation, OPAQUE):
        return "nobody can tell what this does; name the migration and say why it is right"
    return "it holds up a table in use, or old code may break it; look for a concurrent form"


def _of_new_field(field: models.Field[Any, Any]) -> str:
    if field.many_to_many:
        return ""
    if not field.null and not field.has_db_default():
        return "NOT NULL without db_default: the INSERT of old code leaves it out"
    return "its index is built while the table stands still" if field.unique or field.db_index else ""


def _of_change(old: models.Field[Any, Any], new: models.Field[Any, Any]) -> str:
    """A change that the database does not see is harmless, and so is one that allows more."""
    one, other = _in_database(old), _in_database(new)
    if one.pop("null", False) <= other.pop("null", False):
        one.pop("db_default", None)
        other.pop("db_default", None)
    return "" if one == other and type(old) is type(new) else "the column changes under old code"


def _in_database(field: models.Field[Any, Any]) -> dict[str, Any]:
    _, _, _, options = field.deconstruct()
    return {name: value for name, value in options.items() if name not in field.non_db_attrs and name != "default"}


def main() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    own = {name.rsplit(".", 1)[-1] for name in settings.INSTALLED_APPS if not name.startswith("django")}
    found = {
        f"{app}.{name}": findings(migration, loader.project_state((app, name), at_end=False))
        for (app, name), migration in loader.disk_migrations.items()
        if app in own
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
