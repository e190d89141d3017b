"""A filesystem that shows a folder, and can be told to hang: MOUNTPOINT FOLDER UID.

``hang`` on standard input: nobody is answered any more. ``go``: everybody is, also those who have waited. It ends, and
with it all who wait, when standard input does. Source: linux/fuse.h, fuse(4).
"""

import collections
import ctypes
import errno
import os
import select
import stat
import struct
import sys

LOOKUP, GETATTR, SETATTR, READLINK, MKNOD, UNLINK, OPEN, READ, WRITE = 1, 3, 4, 5, 8, 10, 14, 15, 16
INIT, OPENDIR, READDIR, ACCESS, CREATE = 26, 27, 28, 34, 35
FORGET, RELEASE, FLUSH, RELEASEDIR, INTERRUPT, BATCH_FORGET = 2, 18, 25, 29, 36, 42
SILENT, FINE = (FORGET, INTERRUPT, BATCH_FORGET), (RELEASE, FLUSH, RELEASEDIR, ACCESS)
MODE, UID, GID = 1, 2, 4


class Home:
    def __init__(self, folder):
        self.paths = {1: folder}
        self.numbers = {folder: 1}

    def attributes(self, path):
        there = os.lstat(path)
        number = self.numbers.setdefault(path, len(self.numbers) + 1)
        self.paths[number] = path
        stamps = [int(one) for one in (there.st_atime, there.st_mtime, there.st_ctime)]
        parts = [one % 10**9 for one in (there.st_atime_ns, there.st_mtime_ns, there.st_ctime_ns)]
        owner = (there.st_mode, there.st_nlink, there.st_uid, there.st_gid, 0, 4096, 0)
        return number, struct.pack("<QQQQQQIIIIIIIIII", number, there.st_size, there.st_blocks, *stamps, *parts, *owner)

    def entry(self, path):
        number, attributes = self.attributes(path)
        return struct.pack("<QQQQII", number, 0, 0, 0, 0, 0) + attributes

    def answer(self, code, node, uid, gid, body):
        if code in FINE:
            return b""
        if code not in ANSWERS:
            raise OSError(errno.ENOSYS, "")
        return ANSWERS[code](self, self.paths.get(node, "/nowhere"), body, uid, gid)

    def init(self, *_):
        words = struct.pack("<IIIIHHIIHHIIIIIIII", 7, 31, 65536, 0, 12, 10, 65536, 1, 32, *[0] * 9)
        return words[:64].ljust(64, b"\0")

    def lookup(self, path, body, *_):
        return self.entry(os.path.join(path, name(body)))

    def get_attributes(self, path, *_):
        return struct.pack("<QII", 0, 0, 0) + self.attributes(path)[1]

    def set_attributes(self, path, body, *_):
        change(path, body)
        return self.get_attributes(path)

    def link(self, path, *_):
        return os.readlink(path).encode()

    def make(self, path, body, uid, gid, mode=None):
        mode = struct.unpack_from("<I", body)[0] if mode is None else mode
        new = os.path.join(path, name(body[16:]))
        os.mknod(new, mode if stat.S_IFMT(mode) else mode | stat.S_IFREG)
        os.chown(new, uid, gid)
        return self.entry(new)

    def create(self, path, body, uid, gid):
        return self.make(path, body, uid, gid, struct.unpack_from("<II", body)[1]) + struct.pack("<QII", 0, 0, 0)

    def unlink(self, path, body, *_):
        os.unlink(os.path.join(path, name(body)))
        return b""

    def open(self, *_):
        return struct.pack("<QII", 0, 1, 0)

    def open_folder(self, *_):
        return struct.pack("<QII", 0, 0, 0)

    def read(self, path, body, *_):
        _, offset, size = struct.unpack_from("<QQI", body)
        with open(path, "rb") as file:
            return os.pread(file.fileno(), size, offset)

    def write(self, path, body, *_):
        _, offset, size = struct.unpack_from("<QQI", body)
        with open(path, "rb+") as file:
            return struct.pack("<II", os.pwrite(file.fileno(), body[40 : 40 + size], offset), 0)

    def names(self, path, body, *_):
        return listed(path, struct.unpack_from("<QQI", body)[1])


ANSWERS = {
    INIT: Home.init,
    LOOKUP: Home.lookup,
    GETATTR: Home.get_attributes,
    SETATTR: Home.set_attributes,
    READLINK: Home.link,
    MKNOD: Home.make,
    CREATE: Home.create,
    UNLINK: Home.unlink,
    OPEN: Home.open,
    OPENDIR: Home.open_folder,
    READ: Home.read,
    WRITE: Home.write,
    READDIR: Home.names,
}


def name(body):
    return body.rstrip(b"\0").decode()


def change(path, body):
    valid = struct.unpack_from("<I", body)[0]
    mode, _, uid, gid = struct.unpack_from("<IIII", body, 68)
    if valid & (UID | GID):
        os.chown(path, uid if valid & UID else -1, gid if valid & GID else -1)
    if valid & MODE:
        os.chmod(path, stat.S_IMODE(mode))


def listed(path, offset):
    data = b""
    for number, entry in enumerate([".", "..", *sorted(os.listdir(path))][offset:], offset + 1):
        word = entry.encode()
        data += (struct.pack("<QQII", number, number, len(word), 0) + word).ljust(24 + (len(word) + 7) // 8 * 8, b"\0")
    return data[:4096]


def serve(device, home, request):
    _, code, unique, node, uid, gid = struct.unpack_from("<IIQQII", request)
    if code in SILENT:
        return
    try:
        data, flaw = home.answer(code, node, uid, gid, request[40:]), 0
    except OSError as error:
        data, flaw = b"", -(error.errno or errno.EIO)
    try:
        os.write(device, struct.pack("<IiQ", 16 + len(data), flaw, unique) + data)
    except FileNotFoundError:
        return  # whoever asked is gone


def main(mountpoint, folder, uid):
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other" % (device, uid, uid)
    if libc.mount(b"home", mountpoint.encode(), b"fuse", 0, options):
        print("not mounted:", os.strerror(ctypes.get_errno()), flush=True)
        return
    home, waiting, hangs = Home(folder), collections.deque(), False
    print("mounted", flush=True)
    while True:
        ready = select.select([0, device], [], [])[0]
        if 0 in ready:
            words = os.read(0, 4096)
            if not words:
                break
            hangs = words.split()[-1] == b"hang"
            print("done", flush=True)
        if device in ready:
            waiting.append(os.read(device, 1 << 17))
        while waiting and not hangs:
            serve(device, home, waiting.popleft())
    libc.umount2(mountpoint.encode(), 2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
