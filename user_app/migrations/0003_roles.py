"""A group for each role. Staff of before get all roles, since until now all staff could do everything."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

ROLES = ("viewer", "operator", "supervisor", "catalog", "marketing")


def create_roles(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the groups, and put all present staff into them."""
    group, user = apps.get_model("auth", "Group"), apps.get_model("user_app", "User")
    taken = group.objects.filter(name__in=ROLES).values_list("name", flat=True)
    if taken:
        raise RuntimeError(f"Rename the groups {sorted(taken)} first: groups of these names become roles.")
    groups = [group.objects.create(name=name) for name in ROLES]
    for each in user.objects.filter(is_staff=True, is_superuser=False):
        each.groups.add(*groups)


def remove_roles(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Delete the groups: old code gives staff everything without them."""
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    """Creates the roles."""

    dependencies = [("user_app", "0002_session"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(create_roles, remove_roles)]
