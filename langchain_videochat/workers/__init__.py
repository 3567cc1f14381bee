"""Perception in other threads, processes and machines: jobs, the segments of videos, and the workers that run them.

Nothing here uses a store, so that a worker process starts quickly.
"""

from langchain_videochat.workers.jobs import Inspection, InspectJob, PerceiveJob, SummarizeJob
from langchain_videochat.workers.processes import ProcessWorker, process_workers
from langchain_videochat.workers.threads import ThreadWorker
from langchain_videochat.workers.worker import JobDied, Worker

__all__ = [
    "InspectJob",
    "Inspection",
    "JobDied",
    "PerceiveJob",
    "ProcessWorker",
    "SummarizeJob",
    "ThreadWorker",
    "Worker",
    "process_workers",
]
