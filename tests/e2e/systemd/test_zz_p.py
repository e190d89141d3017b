from tests.e2e.harness.installed import Installed
from tests.e2e.systemd.test_systemd_units import make_strict
def test_p(service: Installed):
    make_strict(service)
    pypy = service.add("pypy", app="boundaries.py", python="/usr/bin/pypy3")
    service.start()
    print(pypy.row()["state"], pypy.row()["error"])
    for i in range(6):
        try: print(pypy.get("/?warm_loop").json)
        except Exception as e: print(repr(e))
    print(pypy.row()["state"], pypy.row())
def test_r(service: Installed):
    a=service.add("a"); b=service.add("b"); service.start(); old=a.row()["pid"]
    b.write(processes="many")
    d=service.machine.run("systemctl","reload",service.unit,check=False); print(d, service.log[-900:])
    assert a.row()["pid"]!=old
    assert 0
