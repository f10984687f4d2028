#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""./quickstart as its user meets it: refused without root, helped, run twice, with a folder, on taken ports, stopped."""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import netns
import tap
from laresd import BUILD, TOP
from quickstart import Quickstart, QuickstartError

SCRIPT = os.path.join(TOP, "quickstart")
LARESCTL = os.path.join(BUILD, "cli", "laresctl")
NAME = "nas.home.lan"


@contextlib.contextmanager
def private():
    with tempfile.TemporaryDirectory(prefix="quickstart-") as d:
        os.chmod(d, 0o755)
        yield d


def kinit(q, directory):
    """A ticket with what the server printed, and nothing else known."""
    config = q.ctl("realm", "client-config", "linux", "--json")
    files = {f["path"]: f["content"] for f in json.loads(config)["files"]}
    conf = os.path.join(directory, "krb5.conf")
    with open(conf, "w") as f:
        f.write(re.sub(r"= %s\b" % re.escape(q.said["Server"].split(",")[0]), "= 127.0.0.1", files["/etc/krb5.conf"]))
    env = dict(q.env, KRB5_CONFIG=conf, KRB5CCNAME="FILE:" + directory + "/cc")
    principal = "%s@%s" % (q.said["User"], q.said["Realm"].split(",")[0])
    r = subprocess.run(["kinit", principal], input=q.said["Password"] + "\n", text=True, env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=60)
    assert r.returncode == 0, r.stdout
    return subprocess.run(["klist"], env=env, capture_output=True, text=True).stdout


def smbclient(q, directory, commands, *login):
    """The printed line, with a ticket unless another login is said, with a configuration of Samba that says nothing."""
    line = re.search(r"^ +(smbclient .*)$", q.output, re.M).group(1)
    env = dict(q.env, KRB5_CONFIG=directory + "/krb5.conf", KRB5CCNAME="FILE:" + directory + "/cc")
    argv = [w for w in shlex.split(line) if not login or not w.startswith("--use-kerberos")]
    r = subprocess.run([*argv, "-s", "/dev/null", *login, "-c", commands], env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return r.stdout


def opened_over_smb(q, directory):
    if not shutil.which("smbclient"):
        return
    said = smbclient(q, directory, "get hello.txt /dev/stdout; put /etc/hostname mine; ls")
    assert "Served by Lares." in said and re.search(r"^  mine ", said, re.M) and "NT_STATUS" not in said, said


def logged_in(q, directory):
    """The printed lines, typed by somebody with the ticket of kinit(): laresctl's login and curl's."""
    env = dict(q.env, KRB5_CONFIG=directory + "/krb5.conf", KRB5CCNAME="FILE:" + directory + "/cc", XDG_CONFIG_HOME=directory)
    login = shlex.split(re.search(r"^ +(laresctl login .*)$", q.output, re.M).group(1))
    r = subprocess.run([LARESCTL, *login[1:], "--json"], env=env, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r
    assert json.loads(r.stdout)["rights"] == "admin", r.stdout
    r = subprocess.run([LARESCTL, "status", "--json", "--server", login[login.index("--server") + 1]], env=env, capture_output=True,
                       text=True, timeout=60)
    assert r.returncode == 0 and json.loads(r.stdout)["pid"] == q.daemon(), r
    curl = shlex.split(re.search(r"; (curl .*)\)$", q.output, re.M).group(1))
    r = subprocess.run([*curl, "-s"], env=env, capture_output=True, text=True, timeout=60)
    assert json.loads(r.stdout)["pid"] == q.daemon(), r


def gone(q):
    """Nothing of it is left soon after its end."""
    end = time.monotonic() + 60  # the realm's daemons end in order first
    while q.processes() and time.monotonic() < end:
        time.sleep(0.05)
    assert not q.processes(), q.processes()


def test_help():
    for option in ("-h", "--help"):
        r = subprocess.run([SCRIPT, option], capture_output=True, text=True)
        assert r.returncode == 0 and "./quickstart [DIR]" in r.stdout and not r.stderr, r
        for word in ("LARES_STATE_DIR", "LARES_BUILD", "LARES_SKIP_PACKAGES", "Ctrl-C"):
            assert word in r.stdout, word
        assert "set -eu" not in r.stdout


def test_without_root():
    with private() as d:
        copy = shutil.copy(SCRIPT, d)  # nobody may not look into every checkout
        r = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "/some/where"], cwd=d,
                           capture_output=True, text=True)
        assert r.returncode == 1 and not r.stdout, r
        assert "needs root" in r.stderr and "sudo" in r.stderr and "/some/where" in r.stderr, r.stderr
        for why in ("packages", "445", "88", "keys"):
            assert why in r.stderr, why
        assert os.listdir(d) == ["quickstart"]


def test_twice():
    with private() as d:
        folder = os.path.join(d, "films")
        with Quickstart(d, folder, LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
            first = q.said
            assert first["User"] == "ada" and first["Realm"].startswith("HOME.LAN,"), first
            assert first["Share"].startswith("films") and folder in first["Share"], first
            assert (q.port("NFS"), q.port("SMB"), q.port("KDC")) == (2049, 445, 88), q.output
            assert "ada@HOME.LAN" in kinit(q, d)
            logged_in(q, d)
            socket.create_connection(("127.0.0.1", 2049), 5).close()
            assert os.stat(folder).st_uid == os.stat(folder + "/hello.txt").st_uid > 0
            assert os.stat(d + "/state").st_mode & 0o777 == 0o700
            modes = q.ctl("doctor", "--only", "state")
            assert "state.modes" in modes and "state.mode:" not in modes, modes
            assert q.interrupt() == 0, q.output
            gone(q)
            uid = os.stat(folder).st_uid
        with Quickstart(d, "films") as q:  # by a relative name, and what was chosen is remembered
            assert q.said == first, (q.said, first)
            assert "ada@HOME.LAN" in kinit(q, d)
            assert q.ctl("share", "list").count("films") == 2, q.ctl("share", "list")  # name and path
            assert os.stat(folder).st_uid == uid
            # Killed, it goes on as well.
            os.kill(q.daemon(), 9)
            assert q.wait() == 137 and "ended with status 137" in q.output, q.output
            gone(q)
        with Quickstart(d, "films") as q:
            assert q.said == first, (q.said, first)
            assert "ada@HOME.LAN" in kinit(q, d)


def test_taken_ports():
    with private() as d, contextlib.ExitStack() as stack:
        for port in (88, 445, 464, 749, 2049):
            s = stack.enter_context(socket.socket(socket.AF_INET6))
            s.bind(("::", port))
            s.listen()
        s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        s.bind(("127.0.0.1", 10464))  # the second choice of kpasswd
        with Quickstart(d, d + "/share", LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
            assert (q.port("NFS"), q.port("SMB"), q.port("KDC")) == (12049, 10445, 10088), q.output
            assert ",port=12049" in q.output and ",port=10445" in q.output and "/tcpport:10445" in q.output, q.output
            assert "SMB is on port 10445 and not on its own, 445" in q.output and "Windows asks a KDC on port 88 only" in q.output
            assert "ada@HOME.LAN" in kinit(q, d)
            opened_over_smb(q, d)
            config = q.ctl("realm", "client-config", "linux")
            assert "nas.home.lan:10088" in config and "port=12049" in config, config
            assert q.interrupt() == 0
            gone(q)


def refused(d, folder, *more, preexec=None, **environ):
    """What it says to somebody it cannot serve; nothing of it is left then."""
    q = Quickstart(d, folder, preexec=preexec, **environ)
    q.more = more
    try:
        q.start()
    except QuickstartError as e:
        assert q.status not in (0, None), (q.status, str(e))
        gone(q)
        return str(e)
    finally:
        q.kill()
    raise AssertionError(q.output)


def test_sentences_for_mistakes():
    with private() as d:
        with open(d + "/file", "w") as f:
            f.write("x")
        cases = [((d + "/file",), {}, "is a file, and only a folder can be shared"),
                 ((d + "/file/below",), {}, "cannot be made; name another one"),
                 (("/",), {}, "is the whole system"),
                 (("///",), {}, "is the whole system"),
                 ((d + "/a\nb",), {}, "a character that cannot be shown"),
                 (("--share",), {}, "there is no option --share"),
                 (("my", "films"), {}, "a name with blanks needs quotes: 'my films'"),
                 ((d + "/s",), {"LARES_USER": "a'b; touch x"}, 'LARES_USER="a\'b; touch x": only letters'),
                 ((d + "/s",), {"LARES_REALM": "HOME LAN"}, "only letters, digits"),
                 ((d + "/s",), {"LARES_NFS_PORT": "nfs"}, 'LARES_NFS_PORT="nfs" is not a port'),
                 ((d + "/s",), {"LARES_SMB_PORT": "smb"}, 'LARES_SMB_PORT="smb" is not a port'),
                 ((d + "/s",), {"LARES_KDC_PORT": "123456"}, "is not a port"),
                 ((d + "/s",), {"LARES_KDC_PORT": "70000"}, "from 1 to 65535"),
                 ((d + "/s",), {"LARES_STATE_DIR": d + "/file/state"}, "it needs the folders")]
        for folder, environ, sentence in cases:
            said = refused(d, *folder, **environ)
            assert sentence in said, (sentence, said)
            assert "Traceback" not in said and "not found" not in said, said
            assert not os.path.exists(d + "/s") and not os.path.exists(d + "/x"), os.listdir(d)


def test_a_wrong_choice_is_not_kept():
    """What made the first run fail does not make the second one fail."""
    with private() as d:
        said = refused(d, d + "/share", LARES_REALM="home.lan", LARES_HOST_NAME="nas.home.lan")
        assert "written in capitals: use HOME.LAN" in said, said
        assert not os.path.exists(d + "/share")
        with Quickstart(d, d + "/share", LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
            assert q.said["Realm"].startswith("HOME.LAN,"), q.output
            assert os.path.exists(d + "/share/hello.txt")
        # Another realm cannot be had any more; what is printed is the truth.
        with Quickstart(d, d + "/share", LARES_REALM="OTHER.LAN", LARES_KDC_PORT="1088") as q:
            assert q.said["Realm"] == "HOME.LAN, KDC port 88", q.said
            assert "ada@HOME.LAN" in kinit(q, d)


def test_odd_folders():
    with private() as d:
        folder = os.path.join(d, "Anna's films, 2026 [new]")
        with Quickstart(d, folder, LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
            assert q.said["Share"].startswith("Anna's films_ 2026 _new_ "), q.said
            line = re.search(r"Linux +(mount .*)$", q.output, re.M).group(1)
            words = shlex.split(line)
            assert words[-2:] == ["nas.home.lan:/Anna's films_ 2026 _new_", "/mnt"], words
            assert q.interrupt() == 0
        with Quickstart(d, folder + "//") as q:
            assert q.said["Share"].startswith("Anna's films_ 2026 _new_ "), q.said


def test_second_one_at_the_same_time():
    with private() as d:
        with Quickstart(d, d + "/share", LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
            other = subprocess.run([SCRIPT, d + "/other"], env=q.env, cwd=d, capture_output=True, text=True, timeout=60)
            assert other.returncode == 1 and "a server runs here already" in other.stderr, other
            assert not os.path.exists(d + "/other")
            assert "ada@HOME.LAN" in kinit(q, d)


def test_taken_nfs_port_by_name():
    with private() as d, socket.socket(socket.AF_INET6) as s:
        s.bind(("::", 12345))
        s.listen()
        said = refused(d, d + "/share", LARES_NFS_PORT="12345", LARES_HOST_NAME="nas.home.lan")
        assert "NFS does not run; laresd's lines above say why" in said and "12345" in said, said
        assert not os.path.exists(d + "/share")


def test_taken_smb_port_by_name():
    with private() as d, socket.socket(socket.AF_INET6) as s:
        s.bind(("::", 12345))
        s.listen()
        said = refused(d, d + "/share", LARES_SMB_PORT="12345", LARES_HOST_NAME="nas.home.lan")
        assert "SMB does not run; laresd's lines above say why" in said and "12345" in said, said
        assert not os.path.exists(d + "/share")


def test_smb_as_printed():
    """smbclient with a ticket, and with the password that ntlm wants to be allowed first; the lines as they are printed."""
    if not shutil.which("smbclient"):
        tap.skip("smbclient is not installed")
    with private() as d:
        with Quickstart(d, d + "/Anna's films", LARES_USER="ada", LARES_HOST_NAME=NAME) as q:
            assert "SMB is on port" not in q.output and "/tcpport" not in q.output, q.output
            assert "open 'smb://ada@nas.home.lan/Anna%27s%20films'" in q.output, q.output
            assert "net use * \"\\\\nas.home.lan\\Anna's films\" /user:ada@HOME.LAN" in q.output, q.output
            kinit(q, d)
            opened_over_smb(q, d)
            # By ntlm only once it is allowed, with the lines that say how.
            ntlm = ["-U", "ada%secret words", "--use-kerberos=off"]
            assert "NT_STATUS_LOGON_FAILURE" in smbclient(q, d, "ls", *ntlm)
            ctl = re.findall(r"^ +laresctl ((?:user|share) .*)$", q.output, re.M)
            assert len(ctl) == 2, q.output
            for line in ctl:
                q.ctl(*shlex.split(line), *(["--password-stdin"] if "ntlm enable" in line else []), text="secret words\n")
            assert "hello.txt" in smbclient(q, d, "ls", *ntlm)


def test_nothing_outlives_it():
    """A terminal that goes away, a reader who stops reading, a kill of the script."""
    with private() as d:
        for how in (signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
            with Quickstart(d, d + "/share", LARES_USER="ada", LARES_HOST_NAME="nas.home.lan") as q:
                os.kill(q.process.pid, how)
                q.wait()
                gone(q)
        with Quickstart(d, d + "/share") as q:
            q.process.stdout.close()
            os.killpg(q.process.pid, signal.SIGHUP)
            assert q.process.wait(60) is not None
            gone(q)


def test_no_space():
    """A full disk: one sentence, nothing half made."""
    with private() as d:
        os.mkdir(d + "/small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", d + "/small"], check=True)
        try:
            said = refused(d, d + "/share", LARES_STATE_DIR=d + "/small/state", LARES_HOST_NAME="nas.home.lan")
            assert "needs 16 MB, and " in said and "has only" in said, said
            assert not os.path.exists(d + "/share")
        finally:
            subprocess.run(["umount", "-l", d + "/small"], check=True)


if __name__ == "__main__":
    missing = [t for t in ("setpriv", "krb5kdc", "kadmind", "kinit", "ip")
               if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP needs root" + (" and " + ", ".join(missing) if missing else ""))
        sys.exit(0)
    # A network of its own: there the usual ports are free, and nobody else's.
    gone_wrong = netns.enter({NAME: "127.0.0.1"})
    if gone_wrong:
        print("1..0 # SKIP", gone_wrong)
        sys.exit(0)
    tap.main(globals())
