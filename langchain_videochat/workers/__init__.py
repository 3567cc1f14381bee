"""Perception in other threads, processes and machines: jobs, the segments of videos, and the workers that run them.

Nothing here uses a store, so that a worker process starts quickly.
"""
