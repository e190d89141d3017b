"""How an app is reached: its sockets, and who may connect."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done, many

# fmt: off
REACHED: tuple[Option, ...] = (
    many("socket", v.ADDRESS, "NAME.sock beside the control socket (/run/emperor), if the ini names no socket at all",
         "Where the web server connects: a path, @abstract, IP:PORT, or :PORT for every interface. All but a path are "
         "open to every user of the machine.", short="s"),
    many("uwsgi-socket", v.ADDRESS, "",
         "A socket that speaks uwsgi, whatever `protocol` says."),
    many("fastcgi-socket", v.ADDRESS, "",
         "A socket that speaks FastCGI, whatever `protocol` says."),
    many("http-socket", v.ADDRESS, "",
         "A socket that speaks HTTP, whatever `protocol` says: for a proxy or for development. Its Python "
         "needs h11, which the emperor lends.", "http11-socket"),
    many("http", v.ADDRESS, "",
         "As `http-socket`: the app itself answers there, and no router process stands before it.", "httprouter"),
    done("protocol", v.PROTOCOL, "uwsgi",
         "What `socket` speaks: uwsgi for nginx's uwsgi_pass, fastcgi for fastcgi_pass, Apache and "
         "lighttpd, http for proxy_pass and curl.", "socket-protocol"),
    done("chmod-socket", v.MODE, "660, and the web server's group may connect",
         "Mode of the socket files; 666 lets every user of the machine connect. Alone it means "
         "666.", "chmod", "C"),
    done("chown-socket", v.OWNER, "the app's user : the web server's group; with a mode or umask: the app's own group",
         "Who owns the socket files. The web server's user must be the owner or in the group.", "chown"),
    done("socket-umask", v.UMASK, "",
         "Umask for the moment of bind only, as flup's umask parameter: 000 lets everybody connect. "
         "`chmod-socket` wins over it."),
    many("static-map", v.STATIC_MAP, "",
         "Files below a URL prefix, which the web server serves: `emperorctl nginx NAME` prints the location for it."),
    done("listen", v.BACKLOG, "1024",
         "How many connections wait while all workers are busy; the kernel's net.core.somaxconn caps "
         "it.", short="l"),
)
# fmt: on
