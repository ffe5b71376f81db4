"""The shards of a step over worker processes.

This process hands out one task at a time to each worker, which is a fresh Python with a socket to here. It makes
nothing itself then, so whatever a task does to its process costs that worker alone. A worker ends when the socket does:
at the end of the step, and when this process dies, however it dies. What goes through the socket is pickled by one
process of ours for another; nothing else can write to it.

A task whose worker died is made once more in a fresh worker, after all the others and alone. The usual reason is
memory: so a dead worker is not replaced, and the task has the machine to itself when its turn comes again. If that
worker dies too, the step ends with an error that names the task and the signals. What was finished stays finished.

A worker holds what the task's tools hold and what its libraries keep after a shard; one that has grown past
`compute.worker_memory_mb` is replaced before its next task. Its libraries compute on one thread.

Workers are used where they pay. Starting them costs `START_SECONDS`, so tasks that open few bytes are made in this
process until that has taken as long, and until at their pace workers would gain as much on what is left: whatever tasks
cost, little is lost. With `compute.workers` = 1, or with one task left, it is made in this process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from multiprocessing.connection import Connection, Pipe, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from llm_dag.config.compute import Compute
from llm_dag.progress import Progress
from llm_dag.store.code_identity import edited_modules
from llm_dag.store.errors import CodeChanged, StoreError, WorkerDied
from llm_dag.store.witness import process_started

Task = TypeVar("Task")
Result = TypeVar("Result")

START_SECONDS = 2.0  # 0.1 s for Python and the store, 0.3 s for a step's libraries, 2 s with spaCy
SMALL = 1 << 20  # bytes of a task's inputs under which it may be tried here first
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")  # Arrow: the first
PATIENCE = 10.0  # seconds for a process whose socket has ended to end too


def results(
    job: Callable[[Task], Result],
    sizes: Mapping[str, int],
    begin: Callable[[str], Task],
    compute: Compute,
    step: str,
    progress: Progress,
) -> Generator[tuple[Task, Result], None, None]:
    """Run `job(begin(name))` for every name; each task with its result, in the order in which they are finished.

    `sizes` holds the bytes that each task opens; tasks are begun in its order, in this process, and again where a
    worker died. Close the iterator to end the workers.

    Raises:
        WorkerDied: a task's worker died, and the one that tried it again.
        StoreError: the job cannot be sent to a worker.
    And whatever the job raises, in whichever process.
    """
    waiting = deque(sizes)
    begun = time.monotonic()
    while waiting:
        count = min(compute.workers or cores(), len(waiting))
        done = len(sizes) - len(waiting)
        if count > 1 and (sizes[waiting[0]] >= SMALL or _pays(time.monotonic() - begun, done, len(waiting), count)):
            yield from _Workers(job, begin, count, compute.worker_memory_mb, step, progress).run(waiting)
            return
        task = begin(waiting.popleft())
        yield task, job(task)


def _pays(seconds: float, done: int, left: int, count: int) -> bool:
    """Whether `left` tasks are worth starting `count` workers, after `done` took `seconds` here."""
    gained = seconds / max(done, 1) * left * (1 - 1 / count)
    return min(seconds, gained) >= START_SECONDS


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process, and the task that it is at."""

    def __init__(self, job: bytes) -> None:
        here, there = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from llm_dag.store.workers import serve; "
            f"serve({there.fileno()}, {process_started()!r})"
        )
        self.name = ""
        self.task: Any = None
        self.connection = here
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", code],
            stdin=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
            pass_fds=[there.fileno()],
        )
        there.close()
        self.send(job)

    def send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it is dead: waiting for its answer will say so
            self.connection.send_bytes(message)

    def died(self) -> int:
        """The exit code of a process whose socket has ended."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return self.end()

    def end(self) -> int:
        """Kill the process: it writes nothing that has to be whole."""
        self._process.kill()
        self.connection.close()
        return self._process.wait()


class _Workers:
    def __init__(
        self,
        job: Callable[[Any], Any],
        begin: Callable[[str], Any],
        count: int,
        memory_mb: int,
        step: str,
        progress: Progress,
    ) -> None:
        try:
            self._job = pickle.dumps(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise StoreError(
                f"the judge of {step} cannot be sent to a worker process ({error}); a judge and its tools are "
                "functions of a module, or partials of such functions"
            ) from error
        self._begin = begin
        self._count = count
        self._most = memory_mb << 20
        self._step = step
        self._progress = progress
        self._waiting: deque[str] = deque()
        self._again: deque[str] = deque()
        self._deaths: defaultdict[str, list[str]] = defaultdict(list)
        self._idle: list[_Worker] = []
        self._busy: dict[Any, _Worker] = {}

    def run(self, names: deque[str]) -> Iterator[tuple[Any, Any]]:
        self._waiting = names
        try:
            while True:
                self._hand_out()
                if not self._busy:
                    return
                for connection in wait(list(self._busy)):
                    if finished := self._heard(self._busy[connection]):
                        yield finished
        finally:
            for worker in [*self._idle, *self._busy.values()]:
                worker.end()

    def _hand_out(self) -> None:
        """Give tasks to as many workers as there may be; what is to be made again, when nothing else is left."""
        if self._again and not self._waiting and not self._busy:
            while self._idle:
                self._idle.pop().end()
            self._count = 1
            self._waiting.append(self._again.popleft())
        while self._waiting and len(self._busy) < self._count:
            worker = self._idle.pop() if self._idle else _Worker(self._job)
            self._busy[worker.connection] = worker
            worker.name = self._waiting.popleft()
            worker.task = self._begin(worker.name)
            worker.send(pickle.dumps(worker.task))

    def _heard(self, worker: _Worker) -> tuple[Any, Any] | None:
        """What a worker has to say: its task and the result, or None if it died. Raises what its job raised."""
        try:
            result, error, trace, memory = worker.connection.recv()
        except (EOFError, OSError):
            del self._busy[worker.connection]
            self._lost(worker.name, worker.died())
            return None
        if error is not None:
            error.__context__ = _Traceback(trace)  # not its cause: that would be what people are told
            raise error
        del self._busy[worker.connection]
        if self._most and memory > self._most:
            worker.end()
        else:
            self._idle.append(worker)
        return worker.task, result

    def _lost(self, name: str, code: int) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = " (out of memory?)" if code == -signal.SIGKILL else ""
        self._deaths[name].append(how)
        if len(self._deaths[name]) > 1:
            first, second = self._deaths[name]
            both = f"{first} twice" if first == second else f"{first}, and the next one {second}"
            raise WorkerDied(
                f"shard {name} of {self._step}: its worker process {both}{why}, the second time with no other beside "
                "it; shards that are finished are kept for the next run"
            )
        self._progress.say(f"shard {name}: its worker process {how}{why}; it is made again after the others")
        self._again.append(name)
        self._count = max(1, self._count - 1)


class _Traceback(Exception):
    """The traceback of an exception in a worker, as text: it is shown before the one that leads here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def serve(descriptor: int, parent_started: float | None) -> None:
    """What a worker does: tasks, one after another, until the socket ends. Tasks run in the main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the parent too, which ends its workers
    connection = Connection(descriptor)
    heard: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, heard), daemon=True).start()
    sent, job = heard.get(), None
    while True:
        task = heard.get()
        try:
            job = job or _unpickled(sent)
            result = job(_unpickled(task))
            if parent_started and (edited := edited_modules(parent_started)):
                raise CodeChanged(f"{', '.join(edited)} changed since the run started; run again")
            answer = pickle.dumps((result, None, "", memory()))
        except BaseException as error:
            trace = traceback.format_exc()
            answer = pickle.dumps((None, _sendable(error), trace, 0))
        connection.send_bytes(answer)


def _listen(connection: Any, heard: SimpleQueue[bytes]) -> None:
    """Pass on what the parent says; when it says no more, end this process in the middle of whatever it does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for the main thread
    while True:
        try:
            heard.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)


def _sendable(error: BaseException) -> BaseException:
    """The exception, or where it does not survive pickling, a StoreError that has its words."""
    with contextlib.suppress(Exception):  # whatever a class does when it is made again
        if type(_unpickled(pickle.dumps(error))) is type(error):
            return error
    return StoreError("".join(traceback.format_exception_only(error)).strip())


def _unpickled(message: bytes) -> Any:
    return pickle.loads(message)  # noqa: S301 - our own processes wrote it


def memory() -> int:
    """The bytes of this process that lie in memory now; where the system does not tell, the most there ever were."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10
