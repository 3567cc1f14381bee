"""Indexing: from video files to stored timelines.

Each video is indexed in steps: a worker inspects the file, the *plan* lists the segments that have no result yet
(`planning.py`), workers *perform* them, and a writer *commits* the results (`writing.py`). Workers are threads,
processes or actors of Ray (`engines.py`); `schedule.py` hands out the work, and `run.py` runs the threads that do it.
An interrupted run resumes with the segments that were not committed.
"""
