"""A log of what the outside did, from which a live session can be repeated exactly.

    log = SessionLog(Path("log"))                     written in a thread, bounded, rotated
    report = rerun(Path("log"), make_engine)          says at which step it first differs

A folder holds numbered files. Each begins with a START and a STATE record, everything that the
engine was at that moment, so that the oldest can be deleted.
"""

from streamvdib.session_log.reader import LogReader, Section, sections
from streamvdib.session_log.rerunning import RerunReport, rerun
from streamvdib.session_log.writer import LoggedTargets, SessionLog

__all__ = [
    "LogReader",
    "LoggedTargets",
    "RerunReport",
    "Section",
    "SessionLog",
    "rerun",
    "sections",
]
