"""Storage: creates, reads, updates and deletes rows of declared tables for the other actors."""

from actors.storage.actor import Storage, StorageSettings
from actors.storage.client import STORAGE_KEY, StorageClient
from actors.storage.errors import Conflict, Duplicate, Orphaned, Refused, Rejected, StorageError
from actors.storage.operations import (
    Acknowledged,
    Barrier,
    Create,
    Delete,
    Operation,
    Query,
    Read,
    Row,
    Update,
    Write,
)

__all__ = [
    "STORAGE_KEY",
    "Acknowledged",
    "Barrier",
    "Conflict",
    "Create",
    "Delete",
    "Duplicate",
    "Operation",
    "Orphaned",
    "Query",
    "Read",
    "Refused",
    "Rejected",
    "Row",
    "Storage",
    "StorageClient",
    "StorageError",
    "StorageSettings",
    "Update",
    "Write",
]
