"""Where Optuna keeps the record of a study: a journal in its folder, or a database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from activitynet.errors import StorageError, TrainingError, clipped

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"
_TRIES = 5  # to make the tables of a database that another process is making them in


def open_storage(folder: Path, url: str | None = None) -> BaseStorage:
    """Open the record of a study, or begin one.

    Args:
        folder: The study's folder.
        url: An SQLAlchemy URL such as ``sqlite:///studies.db``, or the path of a journal file. `None` keeps
            a journal in the folder.

    Raises:
        TrainingError: Optuna is not installed.
        StorageError: The storage cannot be opened.
    """
    try:
        import optuna  # noqa: PLC0415  an extra
    except ImportError as error:
        raise TrainingError(
            "a study needs Optuna; install it with: pip install 'activitynet[study]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line a trial says less than our own
    if url is not None and "://" in url:
        return _database(url)
    path = Path(url) if url is not None else folder / JOURNAL
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    except OSError as error:
        raise StorageError(f"cannot open the journal {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise StorageError(
            f"{str(path)!r} is no journal of Optuna ({clipped(error)}); name another storage."
        ) from error


def _database(url: str) -> BaseStorage:
    import optuna  # noqa: PLC0415  an extra
    from sqlalchemy import exc  # noqa: PLC0415  comes with Optuna

    shown = clipped(url.partition("://")[0]) + "://…"  # what follows may hold a password
    for attempt in range(_TRIES):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (ImportError, exc.ArgumentError) as error:
            raise StorageError(f"storage {shown} cannot be used: {_without(url, error)}.") from error
        except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if attempt == _TRIES - 1:
                raise StorageError(f"storage {shown} cannot be opened: {_without(url, error)}.") from error
            time.sleep(0.2 * 2**attempt)
    raise AssertionError  # the loop has returned or raised


def _without(url: str, error: BaseException) -> str:
    return clipped(str(error).replace(url, "the URL").splitlines()[0].rstrip("."))
