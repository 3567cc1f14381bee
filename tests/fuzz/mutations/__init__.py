"""Mutations of files, by format: functions from the bytes of a file to those of a damaged or malicious one."""
