#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every example that a --help prints is typed into a shell, as it stands, and works; and what `realm client-config`
prints is put where it says and used by those who read such files. Runs in a mount and a network namespace of its own,
where /etc, /srv and /root may be written and the usual ports are free."""
import configparser
import contextlib
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import climate
import heimdal
import tap
from laresd import BUILD, Laresd
from realm import RealmError

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
# In the order in which somebody could type them: what makes comes before what uses, what removes comes last.
ORDER = """
    status | health | version | metrics | reload | verbs | module list | module show | module enable | module disable | module set | kerberos status | realm create | realm status | realm rotate | realm user list |
    login | context list | context show | logout | context use | context remove |
    realm user add | realm user passwd | realm user disable | realm user enable | realm host add | realm host keytab |
    realm host list | user add | user passwd | user import | realm user show | user list | user show | user set | user disable | user enable |
    user ntlm enable | user ntlm list | user ntlm disable | group add |
    group add-member | group list | group show | token create | token list | group remove-member | group set | mapping set | mapping list | mapping test | domain list | sid list | sid name | share create | share list |
    share show | share set | share security set | share security show | share disable | share enable | session list |
    open list | lock list | realm keytab | kerberos init show | kerberos init | kerberos test | doctor show | doctor |
    session end | realm client-config | completion | share remove | mapping delete | group delete | user delete |
    realm host remove | realm user remove | token revoke | realm remove
"""
# Made anew before the example runs: it was removed by the one before, or has to be there.
BEFORE = {
    "login": """laresctl realm client-config linux --json | python3 -c 'import json, sys
print([f["content"] for f in json.load(sys.stdin)["files"] if f["path"] == "/etc/krb5.conf"][0])' > /etc/krb5.conf
        laresctl realm user remove zed; echo "$SECRET" | laresctl realm user add zed --password-stdin; echo "$SECRET" | kinit zed""",
    "user set ada": "laresctl user show ada || laresctl user add ada",
    "realm create HOME.LAN --user ada --generate-password": "laresctl realm user remove ada",
    "realm user add bob --password-stdin": "laresctl realm user remove bob",
    "realm user add bob": "laresctl realm user remove bob; laresctl user delete bob",
    "realm host add laptop.home.lan --keytab": "laresctl realm host remove laptop.home.lan",
    "user add ada": "laresctl user delete ada",
    "user delete ada --with-principal": "laresctl user show ada || laresctl user add ada",
    "group delete family": "laresctl group show family || laresctl group add family",
    "user ntlm enable scanner": "laresctl user show scanner || laresctl user add scanner",
    "realm remove HOME.LAN": "laresctl share remove media; laresctl share remove iso",
    "share create iso": "mkdir -p /srv/iso",
    "share create media": "mkdir -p /srv/media",
}
# A session and a token that nobody has: a sentence and the code for it.
NOT_THERE = ("session end 65f2a1b000000001", "sid name S-1-5-21-1004336348-1177238915-682003330-1110 Staff",
             "token revoke 3VvYQxZ1")
# A realm that nobody has.
FAILS = ("kerberos init --admin ada/admin@EXAMPLE.ORG",)
# The doctor's examples work also when they tell about something: the test's own realm is not on the usual ports.
TELLS = {"doctor": (0, 8), "doctor show": (0, 8), "kerberos test": (0, 8)}
PASSWORD = "correct horse battery"


def prefix_of_others(words):
    """"doctor" is a command, and "doctor show" is another; what else is offered behind a command are its values."""
    offered = [line.split("\t")[0] for line in climate.run_ctl("__complete", *words, "").stdout.splitlines()]
    return any(climate.run_ctl(*words, o, "--help").stdout.startswith("Usage: laresctl %s %s " % (" ".join(words), o))
               for o in offered)


def commands(prefix=()):
    """{command: its examples}, from the help itself."""
    found = {}
    for line in climate.run_ctl("__complete", *prefix, "").stdout.splitlines():
        words = (*prefix, line.split("\t")[0])
        text = climate.run_ctl(*words, "--help").stdout
        if "COMMAND [WORD...]" in text:
            found.update(commands(words))
        else:
            if prefix_of_others(words):
                found.update(commands(words))
            found[" ".join(words)] = [e.strip() for e in text[text.index("Examples:\n") + 10:].splitlines() if e.strip()]
    return found


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def seclude():
    """What is written below /etc, /srv and /root goes away with this process."""
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        return False
    mount("--make-rprivate", "/")
    made = tempfile.mkdtemp(prefix="lares-examples-", dir="/run")
    mount("-t", "tmpfs", "none", made)
    for d in ("etc", "root"):
        where = made + "/" + d
        os.makedirs(where + "/upper")
        os.mkdir(where + "/work")
        mount("-t", "overlay", "-o", "lowerdir=/%s,upperdir=%s/upper,workdir=%s/work" % (d, where, where), "none", "/" + d)
    subprocess.run(["umount", "--lazy", made], check=True)  # the overlays hold on to it
    os.rmdir(made)
    if not BUILD.startswith("/srv/"):
        mount("-t", "tmpfs", "none", "/srv")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/etc/hosts", "a") as f:
        f.write("127.0.0.1 nas.home.lan nas\n")
    os.makedirs("/etc/bash_completion.d", exist_ok=True)
    return True


@contextlib.contextmanager
def serving():
    modules = climate.server_modules(realm=True)
    modules["proto-rest"] = {"https": "127.0.0.1:8749"}  # the network is this test's own
    modules["auth-krb5"] = {"helper": os.path.join(BUILD, "modules", "auth-krb5", "lares-keytab-helper")}
    with Laresd(modules, raw="[control]\nadmins = zed\n", start=False) as d, tempfile.TemporaryDirectory() as home:
        d.wait = [d.port, d.control]
        d.start()
        os.mkdir(home + "/bin")
        os.makedirs(home + "/.config/fish/completions")
        os.symlink(climate.LARESCTL, home + "/bin/laresctl")
        env = dict(os.environ, PATH="%s/bin:/usr/sbin:/usr/bin:/sbin:/bin" % home, HOME=home, LARES_SOCKET=d.control,
                   LC_ALL="C.UTF-8", LANGUAGE="", SECRET=PASSWORD)
        yield d, home, env


def shell(line, env, home, password=PASSWORD):
    """One line in a shell on a terminal, passwords typed where they are asked for: (code, what was shown)."""
    answers = [("New password", password + "\n"), ("Once more", password + "\n")] * 4
    if "--admin" in line:
        answers = [("Password of", password + "\n")]
    if line.startswith("laresctl login"):
        answers = [("(yes or no)", "yes\n")]
    old = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env)
        ctl, climate.LARESCTL = climate.LARESCTL, "/bin/bash"
        return climate.on_terminal(["-c", "set -o pipefail; cd %s; %s" % (home, line)], answers)
    finally:
        climate.LARESCTL = ctl
        os.environ.clear()
        os.environ.update(old)


def test_every_example_works():
    found = commands()
    order = [c.strip() for c in ORDER.replace("\n", " ").split("|")]
    assert set(order) == set(found), set(order) ^ set(found)
    done = 0
    with serving() as (d, home, env):
        for command in order:
            assert found[command], command
            for example in found[command]:
                assert "laresctl " + command in example, (command, example)
                if "| jq" in example and not shutil.which("jq"):
                    example = example.split("|")[0]
                words = example[example.index("laresctl ") + 9:]
                for start, before in BEFORE.items():
                    if words.startswith(start):
                        shell(before, env, home)
                        break
                code, said = shell(example, env, home, "%s %d" % (PASSWORD, done))
                wanted = (climate.NOT_FOUND,) if words in NOT_THERE else (1,) if words in FAILS else TELLS.get(command, (0,))
                assert code in wanted, (example, code, said)
                done += 1
        assert PASSWORD not in d.log()
        for path in ("/root/laptop.keytab", "/etc/bash_completion.d/laresctl", home + "/.config/fish/completions/laresctl.fish"):
            assert os.path.getsize(path) > 50, path
        assert os.stat("/root/laptop.keytab").st_mode & 0o777 == 0o600
    print("# %d examples of %d commands" % (done, len(order)))


# ---- Kits ------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def kits():
    """A realm on the usual ports with two shares, one of them with an odd name; and a reader of its kits."""
    with serving() as (d, home, env):
        for line in ("laresctl realm create HOME.LAN", "laresctl realm user add ada", "mkdir -p /srv/media '/srv/My Films'",
                     "laresctl share create media /srv/media --sec krb5i", "laresctl share create 'My Films' '/srv/My Films' --sec krb5p"):
            code, said = shell(line, env, home)
            assert code == 0, said
        d.wait_log("kadmind: ready")

        def kit(platform):
            answer = json.loads(climate.run_ctl("realm", "client-config", platform, "--json", env={"LARES_SOCKET": d.control}).stdout)
            return {f["path"]: f["content"] for f in answer["files"]}, answer
        yield d, home, dict(env, KRB5CCNAME="FILE:" + home + "/cc"), kit


def run(env, *args, text=None):
    r = subprocess.run(args, env=env, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert r.returncode == 0, (args, r.stdout)
    return r.stdout


def conf(home, text):
    path = home + "/krb5.conf"
    with open(path, "w") as f:
        f.write(text)
    return path


def test_linux_kit():
    with kits() as (d, home, env, kit):
        files, answer = kit("linux")
        env["KRB5_CONFIG"] = conf(home, files["/etc/krb5.conf"])
        run(env, "kinit", "ada", text=PASSWORD + "\n")
        assert "aes256" in run(env, "klist", "-e")
        run(env, "kvno", "nfs/nas.home.lan", "host/nas.home.lan")
        run(env, "kpasswd", "ada", text="%s\nanother long one\nanother long one\n" % PASSWORD)
        run(env, "kinit", "ada@HOME.LAN", text="another long one\n")
        idmapd = configparser.ConfigParser()
        idmapd.read_string(files["/etc/idmapd.conf"])
        assert idmapd["General"]["Domain"] == "home.lan"
        with open("/etc/fstab", "w") as f:
            f.write(files["/etc/fstab"])
        for folder in ("media", "My_Films"):
            os.makedirs("/mnt/" + folder, exist_ok=True)
            shown = run(env, "findmnt", "--fstab", "--noheadings", "--raw", "-o", "SOURCE,FSTYPE,OPTIONS", "/mnt/" + folder)
            source, kind, options = shown.split(" ")
            os.rmdir("/mnt/" + folder)
            assert kind == "nfs4" and source == {"media": "nas.home.lan:/media",
                                                 "My_Films": "nas.home.lan:/My\\x20Films"}[folder], shown
            assert ("sec=krb5i" if folder == "media" else "sec=krb5p") in options and "port=%d" % d.port in options, shown
        # Every command is a shell's, and the helper of mount takes its options.
        for command in answer["commands"]:
            run(env, "bash", "-n", "-c", command)
        if shutil.which("mount.nfs4", path="/sbin:/usr/sbin"):
            with tempfile.TemporaryDirectory(dir="/mnt") as place:
                line = next(c for c in answer["commands"] if "My Films" in c)
                run(env, "bash", "-c", re.sub(r" /mnt/\S+$", " " + place, line).replace("mount ", "mount -f ", 1))


def test_macos_kit():
    """macOS reads krb5.conf with Heimdal: its own checker and kinit do here."""
    with kits() as (_, home, env, kit):
        files, answer = kit("macos")
        for line in files["/etc/nfs.conf"].splitlines():
            assert re.match(r"nfs\.client\.(mount\.options|default_nfs4domain) = \S+$", line), line
        for command in answer["commands"]:
            run(env, "bash", "-n", "-c", command)
        try:
            root = heimdal.fetch()
        except RealmError as e:
            tap.skip(str(e)[:200])
        path = conf(home, files["/etc/krb5.conf"])
        own = dict(env, KRB5_CONFIG=path, LD_LIBRARY_PATH=heimdal.libraries(root))
        said = subprocess.run([str(root / "usr/bin/verify_krb5_conf"), path], env=own, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout
        # MIT's words for what Heimdal does anyway; nothing else is new to it, and nothing is malformed.
        left = [x for x in said.splitlines() if not re.search(r"/(rdns|dns_canonicalize_hostname): unknown entry$", x)]
        assert not left, said
        with open(home + "/password", "w") as f:
            f.write(PASSWORD)
        run(own, str(root / "usr/bin/kinit.heimdal"), "--password-file=" + home + "/password", "ada@HOME.LAN")
        run(own, str(root / "usr/bin/kgetcred"), "nfs/nas.home.lan@HOME.LAN")
        assert "nfs/nas.home.lan@HOME.LAN" in run(env, "klist")


def test_windows_kit():
    with kits() as (_, _, _, kit):
        files, answer = kit("windows")
        assert not files, files
        for command in answer["commands"]:
            assert re.match(r'ksetup /(addkdc|addkpasswd) HOME\.LAN nas\.home\.lan$|ksetup /addhosttorealmmap \.?[a-z.]+ HOME\.LAN$'
                            r'|net use \* "\\\\nas\.home\.lan\\[^"]+" /user:USER@HOME\.LAN$', command), command
        assert "restart Windows" in " ".join(answer["notes"])


if __name__ == "__main__":
    missing = [t for t in ("krb5kdc", "kadmind", "kinit", "kvno", "kpasswd", "ip", "findmnt")
               if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP " + " ".join(["needs root", *missing]))
        sys.exit(0)
    with contextlib.suppress(RealmError):  # then its test says so
        heimdal.fetch()  # now: there is no way out of the namespace
    if not seclude():
        print("1..0 # SKIP needs namespaces")
        sys.exit(0)
    tap.main(globals())
