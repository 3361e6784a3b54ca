"""Old code runs beside new code during a deployment, so a migration only expands what it finds, or is named here."""

from __future__ import annotations

import json
import operator

import pytest
from django.contrib.postgres import operations as postgres
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from config.topology import SERVICES, Service
from docs.generate.services import required_variables, run_python
from tests.architecture.expand_only import findings

#: Migrations that do more than expand, and why that was right. A contraction names the release that no longer needs it.
NAMED = {
    "messaging.0002_parking": "before the first release: code older than it can keep no dead letter in the new table",
    "messaging.0003_retention": "storage settings, which no statement of any code runs into",
    "messaging.0010_audit_log_is_not_truncated": "a trigger that no statement of any code runs into",
    "order_app.0003_no_truncate": "triggers that no statement of any code runs into",
    "product_app.0004_no_truncate": "a trigger that no statement of any code runs into",
    "order_app.0002_append_only": "triggers and storage settings that no statement of any code runs into",
    "user_app.0003_roles": "groups and memberships, which old code does not read",
    "product_app.0002_adjustments_append_only": "a trigger that no statement of any code runs into",
}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_old_code_can_live_with_every_migration_that_is_not_named(service: Service) -> None:
    variables = required_variables(service) | {"DJANGO_SETTINGS_MODULE": service.settings_module}
    done = run_python(["-W", "ignore", "-m", "tests.architecture.expand_only"], variables)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert {"messaging.0001_initial", f"{service.app}.0001_initial"} <= set(found)
    assert {name: problems for name, problems in found.items() if problems and name not in NAMED} == {}
    assert not [name for name in NAMED if name in found and not found[name]], "named for nothing"


def problems(*operations: operator.attrgetter) -> list[str]:
    """Return the findings of a migration of a shop that has a table of things."""
    state = ProjectState()
    fields = [("id", models.BigAutoField(primary_key=True)), ("size", models.IntegerField())]
    state.add_model(ModelState("shop", "Thing", fields))
    migration = migrations.Migration("0002_next", "shop")
    migration.operations = list(operations)
    return findings(migration, state)


def add(field: models.Field) -> migrations.AddField:
    return migrations.AddField("thing", "colour", field)


def alter(field: models.Field) -> migrations.AlterField:
    return migrations.AlterField("thing", "size", field)


BY_SIZE = models.Index(fields=["size"], name="by_size")
POSITIVE = models.CheckConstraint(condition=models.Q(size__gt=0), name="positive")


@pytest.mark.parametrize(
    "operation",
    [
        add(models.TextField(null=True)),
        add(models.TextField(default="", db_default="")),
        alter(models.IntegerField(null=True)),
        alter(models.IntegerField(db_default=0, help_text="in mm")),
        postgres.AddIndexConcurrently("thing", BY_SIZE),
        postgres.AddConstraintNotValid("thing", POSITIVE),
        migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
    ],
    ids=lambda each: each.describe(),
)
def test_what_expands_without_holding_anybody_up_is_allowed(operation: migrations.operations.base.Operation) -> None:
    assert problems(operation) == []


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (add(models.TextField(default="")), "NOT NULL without db_default"),
        (add(models.TextField(null=True, db_index=True)), "stands still"),
        (add(models.TextField(null=True, unique=True)), "stands still"),
        (alter(models.BigIntegerField()), "changes under old code"),
        (migrations.RemoveField("thing", "size"), "still reads"),
        (migrations.DeleteModel("Thing"), "still reads"),
        (migrations.RenameField("thing", "size", "length"), "old name"),
        (migrations.RenameModel("Thing", "Item"), "old name"),
        (migrations.AddIndex("thing", BY_SIZE), "holds up"),
        (migrations.AddConstraint("thing", POSITIVE), "holds up"),
        (migrations.RunSQL("SELECT 1"), "nobody can tell"),
        (migrations.RunPython(print), "nobody can tell"),
        (migrations.SeparateDatabaseAndState([migrations.DeleteModel("Thing")]), "still reads"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.describe(),
)
def test_what_breaks_old_code_or_holds_up_a_table_is_found(
    operation: migrations.operations.base.Operation, problem: str
) -> None:
    [found] = problems(operation)

    assert problem in found


def test_a_column_with_a_default_hides_no_other_that_has_none() -> None:
    [found] = problems(
        add(models.TextField(default="")), migrations.AddField("thing", "x", models.TextField(db_default=""))
    )

    assert "NOT NULL without db_default" in found


def test_a_column_that_becomes_not_null_is_found() -> None:
    nullable = alter(models.IntegerField(null=True))

    assert len(problems(nullable, alter(models.IntegerField(db_default=0)))) == 1


def test_a_new_table_may_get_anything_in_the_migration_that_makes_it() -> None:
    other = migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))])
    size = migrations.AddField("other", "size", models.IntegerField(default=0))

    assert problems(other, size, migrations.AddIndex("other", BY_SIZE)) == []
