"""VideoChatEmbed in processes that are forked while other threads use it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_vlms import BUILDERS

PROGRAM = """
import os, signal, sys, threading, time, traceback

import torch

from langchain_videochat import VideoChatEmbed
from langchain_videochat.errors import ModelError
from langchain_videochat.models.weights import Weights, share

def ask_forever(number):
    while True:
        llm.invoke(f"Question {number}")

def use_all_threads():
    torch.ones(1000, 1000).softmax(dim=1)

llm = VideoChatEmbed(model=sys.argv[1], device="cpu", max_tokens=4)
expected = llm.invoke("Hello").text
half_read = llm.stream("Hello")
next(half_read)
use_all_threads()
for number in range(3):
    threading.Thread(target=ask_forever, args=[number], daemon=True).start()
threading.Thread(target=share, args=[lambda _: time.sleep(1000), Weights("slow")], daemon=True).start()
time.sleep(0.1)

def ask_in_child():
    signal.alarm(60)  # kills a child that hangs
    use_all_threads()
    assert llm.invoke("Hello").text == expected
    assert VideoChatEmbed(model=sys.argv[1], device="cpu", max_tokens=4).invoke("Hello").text == expected
    try:
        list(half_read)
    except ModelError as error:
        assert "forked" in str(error)
        os._exit(0)

for _ in range(3):
    child = os.fork()
    if child == 0:
        try:
            ask_in_child()
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("model", ["videochat-embed-tiny", "qwen3_vl"])
def test_a_forked_process_answers_while_its_parent_does(model: str, tmp_path: Path) -> None:
    if model in BUILDERS:
        BUILDERS[model](tmp_path)
        model = str(tmp_path)
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    program = [sys.executable, "-c", PROGRAM, model]
    run = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert run.stdout.split() == ["0", "0", "0"], run.stderr
