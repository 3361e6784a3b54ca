"""The migration of this name, as this release has it."""

from importlib import import_module

Migration = import_module("tests.messaging.releases.migrations.0001_initial").Migration
