"""How many serve, how long they live, when they are replaced, and what they may take up."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done, many

# fmt: off
LIVES: tuple[Option, ...] = (
    done("processes", v.WORKERS, "1",
         "How many workers serve at the same time, each a process; with `cheaper`, how many at most.", "workers", "p"),
    done("threads", v.WORKERS, "1",
         "How many requests one worker serves at the same time."),
    done("lazy-apps", v.FLAG, "no",
         "Imports the app in each worker rather than once before the fork: for apps that start threads or "
         "open connections when imported.", "lazy"),
    done("cheaper", v.CHEAPER, "0",
         "The least number of workers: more are added, up to `processes`, while all are busy, and end again when they "
         "are not needed; 0 is always `processes`."),
    done("cheaper-initial", v.CHEAPER, "as cheaper",
         "With how many workers the app starts, where there is `cheaper`."),
    done("cheaper-step", v.WORKERS, "1",
         "How many workers are added at a time."),
    done("cheaper-overload", v.SECONDS, "1",
         "Seconds that all workers must have been busy before there are more."),
    done("on-demand", v.FLAG, "no",
         "Starts the app at its first connection rather than with the emperor; whoever connects waits, and is "
         "answered.", "cheap"),
    done("idle", v.SPAN, "0",
         "Seconds without a request after which the app is put to sleep: its processes end, its sockets stay, and the "
         "next connection starts it again. 0 is never."),
    done("start-timeout", v.SECONDS, "60",
         "Seconds that the app may take to be imported before the start fails."),
    done("reload-mercy", v.SECONDS, "30",
         "Seconds that running requests may take to finish at a stop or reload before they are "
         "cut.", "worker-reload-mercy"),
    done("reload-mode", v.RELOAD_MODE, "whole",
         "How a reload replaces the workers: whole starts all new ones beside the old ones, rolling replaces one after "
         "another, for machines with little memory."),
    many("touch-reload", v.PATH, "",
         "Reloads the app when this file, folder or link is touched, made, replaced or removed.",
         "touch-workers-reload touch-chain-reload fs-reload"),
    done("py-autoreload", v.SPAN, "0",
         "Reloads the app within so many seconds after one of its Python files was saved, for development; 0 is never.",
         "py-auto-reload python-autoreload python-auto-reload"),
    done("harakiri", v.SPAN, "0",
         "Seconds that one request may take; after that the stacks of its worker's threads go to the log, and the "
         "worker is killed and replaced. 0 is no limit.", short="t"),
    done("max-requests", v.REQUESTS, "0",
         "How many requests a worker answers before it is replaced, the new one first, and one worker at a time; 0 is "
         "no end.", short="R"),
    done("max-requests-delta", v.REQUESTS, "a tenth of max-requests",
         "Up to how many more, by chance, so that the workers do not all come to their end together."),
    done("max-worker-lifetime", v.SPAN, "0",
         "Seconds after which a worker is replaced; 0 is no end."),
    done("max-worker-lifetime-delta", v.SPAN, "a tenth of max-worker-lifetime",
         "Up to how many more, by chance."),
    done("min-worker-lifetime", v.SPAN, "10",
         "Seconds before which no worker is replaced for what it has answered or takes up."),
    done("reload-on-rss", v.MEGABYTES, "0",
         "Replaces a worker whose resident memory is more than so many megabytes; 0 is never.",
         "evil-reload-on-rss"),
    done("reload-on-as", v.MEGABYTES, "0",
         "Replaces a worker whose address space is more than so many megabytes; 0 is never.", "evil-reload-on-as"),
    done("limit-as", v.MEGABYTES, "0",
         "Megabytes of address space that each process of the app may have (RLIMIT_AS); beyond them Python raises "
         "MemoryError. 0 is as inherited."),
    done("limit-nofile", v.LIMIT, "0",
         "How many descriptors each process of the app may have open (RLIMIT_NOFILE); 0 is as inherited.", "max-fd"),
    done("limit-nproc", v.LIMIT, "0",
         "How many processes and threads the app's user may have, all of that user's counted, when a process of the "
         "app starts one more (RLIMIT_NPROC); 0 is as inherited."),
    done("nice", v.NICE, "0",
         "What is added to the niceness of the app's processes: above 0 they let others go first; below 0 the app's "
         "user may not, under root's emperor either, unless that user is root or RLIMIT_NICE lets it.", "prio"),
    done("max-restarts", v.TRIES, "0",
         "How many restarts after crashes in a row before it is given up; 0 is never: the pauses grow to a minute."),
)
# fmt: on
