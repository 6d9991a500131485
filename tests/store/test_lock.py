import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import CorpusLocked
from pipeline.store import CorpusStore

HOLDER = """
import sys
from pipeline.store import CorpusStore
with CorpusStore.open(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_in_another_process(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_live_holder_is_named_and_a_killed_one_holds_nothing(store: CorpusStore):
    with hold_in_another_process(store.root) as process:
        with pytest.raises(CorpusLocked) as caught, store.lock():
            pass
        for fact in (str(store.root), f"process {process.pid} ", socket.gethostname(), " since 20"):
            assert fact in str(caught.value)
        with pytest.raises(CorpusLocked):
            store.publish(lambda manifest: manifest)
        assert store.manifest().generation == 0, "reading needs no lock"
        process.send_signal(signal.SIGKILL)
    with store.lock():
        pass


def test_the_lock_is_free_again_after_the_block(store: CorpusStore):
    with pytest.raises(ZeroDivisionError), store.lock():
        _ = 1 / 0
    with hold_in_another_process(store.root) as process:
        process.communicate("")
    assert process.returncode == 0


def test_a_second_store_of_the_same_process_is_another_writer(store: CorpusStore):
    other = CorpusStore.open(store.root)
    with store.lock(), pytest.raises(CorpusLocked, match=f"process {os.getpid()} "), other.lock():
        pass


def test_one_store_may_nest_it_and_share_it_between_threads(store: CorpusStore):
    published = []
    with store.lock(), store.lock():
        thread = threading.Thread(target=lambda: published.append(store.publish(lambda m: m)))
        thread.start()
        thread.join()
    assert [manifest.generation for manifest in published] == [0]
    with CorpusStore.open(store.root).lock():
        pass
