"""Every option of uWSGI 2.0 that the table has no row for: its name, letter and arity, and what does the same here.

One group a sentence. A word is an option that takes a value; ``name!`` takes none, ``name?`` one that is attached to
it (getopt_long(3)), and ``name/x`` has a letter. Source: the tables in core/uwsgi.c and plugins/*/*.c of uWSGI
2.0.31, with which contrib/uwsgi_names.py compares this page.
"""

from __future__ import annotations

from typing import NamedTuple


class Group(NamedTuple):
    """``reason``: what to write or where to look instead, as the rest of a sentence.

    ``part``: what an app loses that relies on it; "": it serves just as well without.
    """

    title: str
    reason: str
    names: str
    part: str = ""


# fmt: off
GROUPS: tuple[Group, ...] = (
    Group("TLS", "TLS is the web server's: `listen 443 ssl` in nginx, with its certificates", """
ssl-verbose! ssl-verify-depth? ssl-sessions-use-cache? ssl-session-use-cache? ssl-sessions-timeout
ssl-session-timeout sni sni-dir sni-dir-ciphers ssl-enable3! ssl-enable-sslv3! ssl-enable-tlsv1! ssl-option!
sni-regexp ssl-tmp-dir"""),
    Group("Abstract sockets", "write socket = @NAME", """
abstract-socket/a!"""),
    Group("Interpreter", "the interpreter is named by `python = PATH` or `virtualenv = FOLDER`", """
py-programname py-program-name no-site! py-executable py-sys-executable"""),
    Group("Environment", "the environment is written out: env = KEY=VALUE, a line for each", """
envdir early-envdir reload-os-env!"""),
    Group("Other sources of configuration", "only inis are read: write an ini", """
fallback-config ldap ldap-schema! ldap-schema-ldif! sqlite3 sqlite"""),
    Group("uWSGI's own processes", "it is about processes of uWSGI's own, which are not here", """
skip-zero! skip-atexit! skip-atexit-teardown! no-threads-wait! honour-stdin! exit-on-reload! force-gateway!
reaper/r! locks lock-engine ftok persistent-ipcsem! refork! re-fork! refork-as-root! re-fork-as-root!
refork-post-jail! re-fork-post-jail! mem-collector-freq reload-on-fd brutal-reload-on-fd fs-brutal-reload
propagate-touch! check-interval forkbomb-delay binary-path privileged-binary-patch unprivileged-binary-patch
privileged-binary-patch-arg unprivileged-binary-patch-arg use-abort! clock"""),
    Group("Emperor", "it is for the emperor, not for an app: `emperor --help` tells what it takes", """
emperor emperor-proxy-socket emperor-wrapper emperor-wrapper-override emperor-wrapper-fallback emperor-nofollow!
emperor-procname emperor-freq emperor-required-heartbeat emperor-curse-tolerance emperor-pidfile emperor-tyrant!
emperor-tyrant-nofollow! emperor-stats emperor-stats-server early-emperor! emperor-broodlord emperor-throttle
emperor-max-throttle emperor-magic-exec! emperor-on-demand-extension emperor-on-demand-ext
emperor-on-demand-directory emperor-on-demand-dir emperor-on-demand-exec emperor-extra-extension emperor-extra-ext
emperor-no-blacklist! emperor-use-clone emperor-graceful-shutdown! emperor-cap vassals-cap vassal-cap
imperial-monitor-list! imperial-monitors-list! vassals-inherit vassals-include vassals-inherit-before
vassals-include-before vassals-start-hook vassals-stop-hook vassal-sos vassal-sos-backlog vassals-set vassal-set
heartbeat hook-emperor-start hook-emperor-stop hook-emperor-reload hook-emperor-lost hook-as-vassal hook-as-emperor
exec-as-vassal exec-as-emperor mount-as-vassal mount-as-emperor umount-as-vassal umount-as-emperor call-as-vassal
call-as-vassal1 call-as-vassal3 call-as-emperor call-as-emperor1 call-as-emperor2 call-as-emperor4"""),
    Group("Shared sockets",
          "write its address itself where a socket refers to it, as in `http = 0.0.0.0:8001`; the emperor binds it", """
shared-socket undeferred-shared-socket"""),
    Group("Zerg and fork servers",
          "a reload starts the new workers beside the old ones on the same socket, and `emperorctl scale NAME "
          "N` adds some", """
map-socket no-fd-passing! safe-fd fd-safe zerg zerg-fallback! zerg-server
zergpool zerg-pool"""),
    Group("HTTP router",
          "there is no router process: `http` and `http-socket` open a socket that the app itself answers; TLS, "
          "compression and timeouts are the web server's", """
http-socket-modifier1 http-socket-modifier2 https-socket-modifier1 https-socket-modifier2 https-export-cert!
https-session-context http-to-https http-processes http-workers http-var http-to http-zerg http-fallback
http-modifier1 http-modifier2 http-use-cache? http-use-pattern http-use-base http-events http-subscription-server
http-subscription-fallback-key http-timeout http-manage-expect? http-keepalive? http-auto-chunked! http-auto-gzip!
http-raw-body! http-websockets! http-chunked-input! http-use-code-string http-use-socket? http-gracetime http-quiet
http-cheap! http-stats http-stats-server http-ss http-harakiri http-stud-prefix http-uid http-gid http-resubscribe
http-buffer-size http-server-name-as-http-host http-headers-timeout http-connect-timeout http-manage-source!
http-manage-rtsp! http-enable-proxy-protocol?"""),
    Group("Other routers",
          "routing requests to instances is the web server's: one `location` with uwsgi_pass for each app", """
fastrouter fastrouter-processes fastrouter-workers fastrouter-zerg fastrouter-use-cache? fastrouter-use-pattern
fastrouter-use-base fastrouter-fallback fastrouter-use-code-string fastrouter-use-socket? fastrouter-to
fastrouter-gracetime fastrouter-events fastrouter-quiet fastrouter-cheap! fastrouter-subscription-server
fastrouter-subscription-slot fastrouter-timeout fastrouter-post-buffering fastrouter-post-buffering-dir
fastrouter-stats fastrouter-stats-server fastrouter-ss fastrouter-harakiri fastrouter-uid fastrouter-gid
fastrouter-resubscribe fastrouter-resubscribe-bind fastrouter-buffer-size fastrouter-fallback-on-no-key!
fastrouter-subscription-fallback-key forkptyrouter forkpty-router forkptyurouter forkpty-urouter
forkptyrouter-command forkpty-router-command forkptyrouter-cmd forkpty-router-cmd forkptyrouter-rows
forkptyrouter-cols forkptyrouter-processes forkptyrouter-workers forkptyrouter-zerg forkptyrouter-fallback
forkptyrouter-events forkptyrouter-cheap! forkptyrouter-timeout forkptyrouter-stats forkptyrouter-stats-server
forkptyrouter-ss forkptyrouter-harakiri rawrouter rawrouter-processes rawrouter-workers rawrouter-zerg
rawrouter-use-cache? rawrouter-use-pattern rawrouter-use-base rawrouter-fallback rawrouter-use-code-string
rawrouter-use-socket? rawrouter-to rawrouter-gracetime rawrouter-events rawrouter-max-retries rawrouter-quiet
rawrouter-cheap! rawrouter-subscription-server rawrouter-subscription-slot rawrouter-timeout rawrouter-stats
rawrouter-stats-server rawrouter-ss rawrouter-harakiri rawrouter-xclient! rawrouter-buffer-size sslrouter sslrouter2
sslrouter-session-context sslrouter-processes sslrouter-workers sslrouter-zerg sslrouter-use-cache?
sslrouter-use-pattern sslrouter-use-base sslrouter-fallback sslrouter-use-code-string sslrouter-use-socket?
sslrouter-to sslrouter-gracetime sslrouter-events sslrouter-max-retries sslrouter-quiet sslrouter-cheap!
sslrouter-subscription-server sslrouter-timeout sslrouter-stats sslrouter-stats-server sslrouter-ss
sslrouter-harakiri sslrouter-sni! sslrouter-buffer-size tuntap-router tuntap-device tuntap-use-credentials?
tuntap-router-firewall-in tuntap-router-firewall-out tuntap-router-route tuntap-router-stats tuntap-device-rule"""),
    Group("Subscriptions", "instances announce themselves to no router: the web server names the app's socket", """
weight auto-weight notify-socket subscription-notify-socket subscriptions-sign-check
subscriptions-sign-check-tolerance subscriptions-sign-skip-uid subscriptions-credentials-check
subscriptions-use-credentials! subscription-algo subscription-dotsplit! subscribe-to st subscribe subscribe2
subscribe-freq subscription-tolerance unsubscribe-on-graceful-reload! start-unsubscribed! subscribe-with-modifier1"""),
    Group("Request routing",
          "rewriting and refusing requests is the web server's: `rewrite`, `return`, `allow`, `deny` in nginx", """
route route-host route-uri route-qs route-remote-addr route-user-agent route-remote-user route-referer route-label
route-if route-if-not route-run final-route final-route-status final-route-host final-route-uri final-route-qs
final-route-remote-addr final-route-user-agent final-route-remote-user final-route-referer final-route-label
final-route-if final-route-if-not final-route-run error-route error-route-status error-route-host error-route-uri
error-route-qs error-route-remote-addr error-route-user-agent error-route-remote-user error-route-referer
error-route-label error-route-if error-route-if-not error-route-run response-route response-route-status
response-route-host response-route-uri response-route-qs response-route-remote-addr response-route-user-agent
response-route-remote-user response-route-referer response-route-label response-route-if response-route-if-not
response-route-run pam pam-user""",
          "its rules, which may guard the app, are not applied"),
    Group("Settings of request routing", "rewriting and refusing requests is the web server's", """
pcre-jit! ignore-script-name! router-list! routers-list! error-page-403 error-page-404 error-page-500 geoip-country
geoip-city geoip-use-disk! notfound-log!"""),
    Group("Headers", "headers are the app's to set, or the web server's: `add_header` in nginx", """
add-header rem-header del-header collect-header response-header-collect pull-header response-headers-limit"""),
    Group("Static files",
          "files are the web server's to serve: `location /PREFIX { alias FOLDER; }`, `expires`, `gzip_static` "
          "in nginx", """
static-skip-ext static-cache-paths static-cache-paths-name mimefile mime-file static-expires-type
static-expires-type-mtime static-expires static-expires-mtime static-expires-uri static-expires-uri-mtime
static-expires-path-info static-expires-path-info-mtime static-gzip static-gzip-all! static-gzip-dir
static-gzip-prefix static-gzip-ext static-gzip-suffix honour-range! offload-threads offload-thread file-serve-mode
fileserve-mode disable-sendfile! check-cache? glusterfs-mount glusterfs-timeout gridfs-mount gridfs-debug!
rados-mount rados-timeout webdav-mount webdav-css webdav-javascript webdav-js webdav-class-directory webdav-div
webdav-lock-cache webdav-principal-base webdav-add-option webdav-add-prop webdav-add-collection-prop
webdav-add-object-prop webdav-add-prop-href webdav-add-collection-prop-href webdav-add-object-prop-href
webdav-add-prop-comp webdav-add-collection-prop-comp webdav-add-object-prop-comp webdav-add-rtype-prop
webdav-add-rtype-collection-prop webdav-add-rtype-object-prop webdav-skip-prop xslt-docroot xslt-ext xslt-var
xslt-stylesheet xslt-content-type"""),
    Group("Modifiers and other protocols",
          "uwsgi, FastCGI and HTTP are spoken, for Python: write `protocol = uwsgi`, `fastcgi` or `http`", """
fastcgi-modifier1 fastcgi-modifier2 scgi-modifier1 scgi-modifier2 raw-modifier1 raw-modifier2
upload-progress udp multicast multicast-ttl multicast-loop websockets-ping-freq websocket-ping-freq
websockets-pong-tolerance websocket-pong-tolerance websockets-max-size websocket-max-size chunked-input-limit
chunked-input-timeout enable-proxy-protocol! allowed-modifiers remap-modifier dumbloop-modifier1 dumbloop-code
dumbloop-function zeromq zmq zeromq-socket zmq-socket mongrel2 nagios! ping ping-timeout symcall symcall-use-next!
symcall-register-rpc symcall-post-fork"""),
    Group("Cache and queues",
          "there is no cache in the server: use one of the framework's, on Redis or memcached", """
sharedarea/A cache cache-blocksize cache-store cache-store-sync cache-no-expire! cache-expire-freq
cache-report-freed-items! cache-udp-server cache-udp-node cache-sync cache-use-last-modified! add-cache-item
load-file-in-cache load-file-in-cache-gzip cache2 queue queue-blocksize queue-store queue-store-sync rpc-max
py-sharedarea"""),
    Group("Spooler, mules, timers and signals",
          "work beside requests is a service of its own: a systemd unit or timer, Celery, RQ or APScheduler", """
spooler/Q spooler-external mule? mules farm signal-timer timer signal-rbtimer rbtimer hook-as-mule touch-signal
fs-signal spooler-import spooler-pyimport spooler-py-import spooler-python-import""",
          "no spooler, mule or timer works beside the requests"),
    Group("Settings of spoolers, mules and signals", "there are no spoolers, mules and signals", """
mule-harakiri mule-reload-mercy spooler-ordered! spooler-chdir spooler-processes spooler-quiet! spooler-max-tasks
spooler-harakiri spooler-frequency spooler-freq mule-msg-size? signal signal-bufsize signals-bufsize
touch-mules-reload touch-spoolers-reload"""),
    Group("Cron and attached daemons",
          "what runs at its times, or for ever, is a unit of systemd: `OnCalendar=` of a timer, or a service", """
touch-exec file-write cron cron2 unique-cron legion-cron cron-legion unique-legion-cron unique-cron-legion
worker-exec worker-exec2 attach-daemon attach-control-daemon smart-attach-daemon smart-attach-daemon2
legion-attach-daemon legion-smart-attach-daemon legion-smart-attach-daemon2 attach-daemon2 curl-cron cron-curl
legion-curl-cron legion-cron-curl curl-cron-legion cron-curl-legion""", "no program is started beside the app"),
    Group("Settings of cron and daemons", "programs are run by systemd, whose units have settings of their own", """
cron-harakiri daemons-honour-stdin!"""),
    Group("Legion", "there is no cluster of instances: keepalived or the load balancer decides who serves", """
legion legion-mcast legion-node legion-freq legion-tolerance legion-death-on-lord-error legion-skew-tolerance
legion-lord legion-unlord legion-setup legion-death legion-join legion-node-joined legion-node-left legion-quorum
legion-scroll legion-scroll-max-size legion-scroll-list-max-size"""),
    Group("Metrics and statistics",
          "`emperorctl metrics` writes the numbers for Prometheus, and `stats` tells them in uWSGI's JSON", """
connect-and-read extract enable-metrics! metric metric-threshold metric-alarm alarm-metric metrics-dir
metrics-dir-restore! metric-dir metric-dir-restore! metrics-no-cores! stats-push stats-pusher-default-freq
stats-pushers-default-freq snmp? snmp-community carbon carbon-timeout carbon-freq carbon-id carbon-no-workers!
carbon-max-retry carbon-retry-delay carbon-root carbon-hostname-dots carbon-name-resolve! carbon-resolve-names!
carbon-idle-avg carbon-use-metrics! rrdtool rrdtool-freq rrdtool-lib zabbix-template?"""),
    Group("Alarms",
          "who wants to be told asks `emperorctl status`, whose exit code is 3 when something is down, or "
          "follows `emperorctl logs -f`", """
alarm alarm-cheap alarm-freq alarm-fd alarm-segfault segfault-alarm alarm-backlog backlog-alarm lq-alarm alarm-lq
alarm-listen-queue listen-queue-alarm log-alarm alarm-log not-log-alarm not-alarm-log alarm-list! alarms-list!
alarm-msg-size"""),
    Group("Loggers",
          "lines go to `logto`, or to `emperorctl logs NAME`, and those of `log-format` with them", """
logformat-strftime! log-format-strftime! log-syslog? log-socket req-logger logger-req logger logger-list!
loggers-list! threaded-logger! log-encoder log-req-encoder log-drain log-filter log-route log-req-route
log-master-bufsize log-master-stream! log-master-req-stream! log-prefix? log-sendfile log-ioerror log-micros!
log-zeromq rsyslog-packet-size rsyslog-split-messages!"""),
    Group("Coroutines", "requests are answered by `processes` and `threads`: write threads = N", """
async loop asyncio coroae fiber! goroutines gevent greenlet! rbthreads! rb-threads! rbthread! rb-thread! stackless!
tornado ugreen!""", "no coroutines answer requests, and one that waits keeps its thread"),
    Group("Settings of coroutines", "there are no coroutines; what the app patches itself stays patched", """
loop-list! loops-list! gevent-monkey-patch! gevent-early-monkey-patch! gevent-wait-for-hub! ugreen-stacksize"""),
    Group("Other languages", "only Python apps are served", """
cgi-mode/c! cgi cgi-map-helper cgi-helper cgi-from-docroot! cgi-buffer-size cgi-timeout cgi-index cgi-allowed-ext
cgi-unset cgi-loadlib cgi-optimize! cgi-optimized! cgi-path-info! cgi-do-not-kill-on-error! cgi-async-max-attempts!
cgi-close-stdin-on-eof! cgi-safe go-load gccgo-load go-args gccgo-args jvm-main-class jvm-opt jvm-class
jvm-classpath jwsgi lua lua-load lua-shell! luashell! lua-gc-freq! mono-app mono-gc-freq mono-key mono-version
mono-config mono-assembly mono-exec mono-index php-ini php-config php-ini-append php-config-append php-set php-index
php-docroot php-allowed-docroot php-allowed-ext php-allowed-script php-server-software php-app php-app-qs
php-fallback php-fallback2 php-fallback-qs php-app-bypass php-var php-constant php-dump-config! php-exec-before
php-exec-begin php-exec-after php-exec-end php-sapi-name psgi psgi-enable-psgix-io! perl-no-die-catch!
perl-local-lib perl-version! perl-args perl-arg perl-exec perl-exec-post-fork perl-auto-reload
perl-auto-reload-ignore plshell? plshell-oneshot! perl-no-plack! rails rack ruby-gc-freq rb-gc-freq rb-lib ruby-lib
rb-require ruby-require rbrequire rubyrequire require shared-rb-require shared-ruby-require shared-rbrequire
shared-rubyrequire shared-require gemset rvm rvm-path rbshell? rbshell-oneshot! ring-load clojure-load ring-app
v8-load v8-preemptive v8-gc-freq v8-module-path v8-jsgi"""),
    Group("PyPy plugin",
          "PyPy is an interpreter like another: write python = /usr/bin/pypy3, or virtualenv with one of PyPy", """
pypy-lib pypy-setup pypy-home pypy-wsgi pypy-wsgi-file pypy-ini-paste pypy-paste pypy-eval pypy-eval-post-fork
pypy-exec pypy-exec-post-fork pypy-pp pypy-python-path pypy-pythonpath"""),
    Group("Imports", "write `import MODULE` into the app's own module, which is imported before the first request", """
import pyimport py-import python-import shared-import shared-pyimport shared-py-import shared-python-import""",
          "this module is not imported"),
    Group("Python plugin",
          "the app's own module is the place for it: what is set or read there is so before the first request", """
pymodule-alias post-pymodule-alias wsgi-lite start_response-nodelay! wsgi-accept-buffer! wsgi-accept-buffers!
wsgi-disable-file-wrapper! python-raw python-worker-override"""),
    Group("Other ways to name the app", "write a file that defines `application`, and name it with wsgi-file", """
worker-mount eval pecan paste paste-logger! web3 pump ini-paste ini-paste-logged"""),
    Group("Programs and shells",
          "it is not for a server: run the interpreter of the virtualenv; `emperorctl check --import FILE` "
          "tries the import", """
print-sym print-symbol pty-socket pty-log! pty-input! pty-connect pty-uconnect pty-no-isig! pty-exec test/J pyshell?
pyshell-oneshot? py pyrun python-version!"""),
    Group("Debugging",
          "`harakiri` logs the stacks of requests that take too long; `emperorctl status NAME` tells the rest", """
backtrace-depth profiler reload-on-exception! reload-on-exception-type reload-on-exception-value
reload-on-exception-repr exception-handler py-tracebacker"""),
    Group("Hooks",
          "nothing runs at stages of the start: ExecStartPre= of a unit runs programs, and the app's module "
          "runs Python", """
hook-asap hook-pre-jail hook-post-jail hook-in-jail hook-as-root hook-as-user
hook-as-user-atexit hook-pre-app hook-post-app hook-post-fork hook-accepting hook-accepting1 hook-accepting-once
hook-accepting1-once hook-master-start hook-touch hook-as-gateway after-request-hook after-request-call exec-asap
exec-pre-jail exec-post-jail exec-in-jail exec-as-root exec-as-user exec-as-user-atexit exec-pre-app exec-post-app
mount-asap mount-pre-jail mount-post-jail mount-in-jail mount-as-root umount-asap umount-pre-jail umount-post-jail
umount-in-jail umount-as-root call-asap call-pre-jail call-post-jail call-in-jail call-as-root call-as-user
call-as-user-atexit call-pre-app call-post-app""", "what it names is not run"),
    Group("Waiting at the start",
          "nothing is waited for: After=, RequiresMountsFor= and ExecStartPre= of a unit do that", """
flock flock-wait flock2 flock-wait2 wait-for-interface wait-for-interface-timeout wait-interface
wait-interface-timeout wait-for-iface wait-for-iface-timeout wait-iface wait-iface-timeout wait-for-fs wait-for-file
wait-for-dir wait-for-mountpoint wait-for-fs-timeout wait-for-socket wait-for-socket-timeout check-mountpoint
mountpoint-check check-mount mount-check force-cwd binsh dlopen"""),
    Group("Confinement and placement",
          "limits of what a process may see and where it runs are the unit's: `systemctl edit emperor` "
          "(CPUAffinity=, MemoryMax=, …), or an emperor of its own, contrib/systemd/emperor@.service", """
setns-socket setns-socket-skip setns-skip setns setns-preopen! jailed! jail-ip4 jail-ip6 jidfile jid-file libjail
jail-attach ksm? never-swap! cpu-affinity cgroup cgroup-opt cgroup-dir-mode namespace-keep-mount namespace-net
ns-net"""),
    Group("Sockets and the kernel", "the kernel's defaults serve, and the socket is the emperor's", """
freebind! no-defer-accept! tcp-nodelay! so-keepalive! so-send-timeout! socket-send-timeout! so-write-timeout!
socket-write-timeout! socket-sndbuf socket-rcvbuf shutdown-sockets! post-buffering-bufsize body-read-warning
thread-stacksize threads-stacksize thread-stack-size threads-stack-size tcp-fast-open tcp-fastopen
tcp-fast-open-client! tcp-fastopen-client!"""),
    Group("Commands",
          "it is a command, not a setting: `emperorctl --help` and `emperor --help` tell those there are", """
get stop reload pause suspend resume help/h! usage/h! no-server! command-mode! cheaper-algo-list!
cheaper-algos-list! cheaper-list! clock-list! clocks-list! plugins-list! plugin-list! dump-options! show-config!
binary-append-data print iprint exit? cflags! dot-h! config-py! build-plugin version!"""),
    Group("The language",
          "there is no such word in an ini here; `set-placeholder`, `include`, `for` and `if-…` are", """
resolve blacklist end-blacklist! whitelist end-whitelist! inject-before inject-after
mode"""),
)
# fmt: on
