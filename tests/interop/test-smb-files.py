#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Work with files through Samba's own clients (smbclient, smbcacls, smbget), in every dialect and by every login, as a user
types it: on port 445, by the server's name, in a network of the test's own. All traffic is captured and read once more by
Wireshark. KEEP=1 in the environment keeps the folders and the
capture. Exit 77 where the clients, MIT's KDC or Wireshark are not to be had."""
import collections
import contextlib
import filecmp
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import capture
import netns
import nfs4ops as nfs
import nfsraw
import tap
from realm import Realm, RealmError, tool
from smb_server import HOST, SERVICE, SmbServer, missing

PASSWORD = "correct horse"
ADA = {"user": "ada%" + PASSWORD}
BOB = {"user": "bob%" + PASSWORD}
GUEST = {"guest": True}
ALICE = None  # with the site's ticket
PROTOCOLS = ("SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11")
SIGNED, ENCRYPTED = "--client-protection=sign", "--client-protection=encrypt"


class Site:
    """The server, and what a user of it types."""

    def __init__(self, server, work, cc):
        self.server, self.work = server, work
        self.alice = {"ccache": cc}
        self.capture = None
        self.looks = []  # functions of the finished capture's packets

    def folder(self, share="share"):
        return self.work / "shares" / share

    def run(self, argv, login, more=(), timeout=60):
        """A tool of Samba's; its session keys go to the capture."""
        keys = ["--option=debug encryption = yes"] if self.capture and argv[0] != "smbget" else []
        r = self.server.run([*argv, *(self.server.login(**login) if argv[0] != "smbget" else []), *more, *keys],
                            login.get("ccache"), timeout=timeout)
        if keys:
            self.capture.keys += capture.session_keys(r.stdout)
        return r

    def smb(self, commands, login, *more, share="share", fails=False, timeout=60):
        """What smbclient prints; commands: lines. Whatever goes wrong is said with an NT_STATUS_."""
        lines = [c.strip() for c in commands.strip().splitlines()]
        r = self.run(["smbclient", f"//{HOST}/{share}", "-s", self.server.conf, "-c", ";".join(lines)], login, more, timeout)
        assert bool("NT_STATUS_" in r.stdout or r.returncode) == fails, (r.returncode, r.stdout)
        return r.stdout

    def acl(self, path, login, *more, share="share", fails=False):
        r = self.run(["smbcacls", f"//{HOST}/{share}", path, "-s", self.server.conf], login, more)
        assert bool(r.returncode or "NT_STATUS_" in r.stdout) == fails, r.stdout
        return r.stdout


@functools.cache
def home_realm():
    """One for all tests, as none changes it; ends with LAST."""
    work = LAST.enter_context(tempfile.TemporaryDirectory(prefix="smb-files-realm-"))
    return LAST.enter_context(Realm(pathlib.Path(work) / "realm", users=["alice"], services=[SERVICE]))


LAST = contextlib.ExitStack()
KEPT = []  # (what was captured, the site's looks) of each site: all is read together at the end
# What of each packet is looked at.
Packet = collections.namedtuple("Packet", "sealed commands answer names ciphers signings")
FIELDS = Packet("smb2.header.transform.signature", "smb2.cmd", "smb2.flags.response", "smb2.filename",
                "smb2.negotiate_context.cipher_id", "smb2.negotiate_context.signing_id")


@functools.cache
def captures():
    return pathlib.Path(LAST.enter_context(tempfile.TemporaryDirectory(prefix="smb-files-captures-")))


@contextlib.contextmanager
def serving(captured=True, **settings):
    work = pathlib.Path(tempfile.mkdtemp(prefix="smb-files-"))
    os.chmod(work, 0o755)
    try:
        realm = home_realm()
        with SmbServer(work / "server", realm=realm, port=445, **settings) as s:
            site = Site(s, work, realm.kinit("alice", work / "cc"))
            s.add_share("share", site.folder(), ["krb5", "ntlm", "sys"])
            s.add_share("sealed", site.folder("sealed"), ["krb5p"])
            for name in ("ada", "bob"):
                s.add_user(name, PASSWORD)
            if not captured:
                yield site
                return
            with capture.Capture(captures(), str(len(KEPT)), keytab=realm.service_keytab) as c:
                site.capture = c
                yield site
            KEPT.append((c, site.looks))
    finally:
        if "KEEP" in os.environ:
            print("#", work)
        else:
            shutil.rmtree(work, ignore_errors=True)


def make_tree(top):
    """What is hard about trees: depth, blanks, letters, nothing, sizes beside a record's."""
    (top / "a folder" / "with" / "some" / "depth").mkdir(parents=True)
    (top / "nothing in here").mkdir()
    (top / "a folder" / "Grüße – ελληνικά.txt").write_text("Grüße")
    (top / "null").write_bytes(b"")
    (top / "one").write_bytes(b"x")
    for size in (65536, 65537, 1048576, 3000001):
        (top / "a folder" / "with" / f"{size}.bin").write_bytes(os.urandom(size))
    (top / "a folder" / "with" / "some" / "depth" / "last").write_text("last\n" * 100)
    for i in range(30):
        (top / "a folder" / f"file {i:02}").write_text(str(i))
    return top


def same(one, other):
    """Fails unless two trees have the same names and contents."""
    c = filecmp.dircmp(one, other, ignore=[])
    assert not c.left_only and not c.right_only and not c.common_funny, (one, c.left_only, c.right_only, c.common_funny)
    for name in c.common_files:
        assert filecmp.cmp(os.path.join(one, name), os.path.join(other, name), shallow=False), (one, name)
    for name in c.common_dirs:
        same(os.path.join(one, name), os.path.join(other, name))


def copies(site, login, *more):
    """A tree there and back, in two ways, and the small change of a day; leaves nothing."""
    here, there = site.work / "tree", site.folder() / "tree"
    back = pathlib.Path(tempfile.mkdtemp(dir=site.work))
    if not here.exists():
        make_tree(here)
    site.smb(f"""prompt off
        recurse on
        lcd {here}
        mkdir tree
        cd tree
        mput *
        lcd {back}
        mget *""", login, *more)
    same(here, there)
    same(here, back)
    site.smb(f"tar c {back}/t.tar tree", login, *more)
    with tarfile.open(back / "t.tar") as t:
        t.extractall(back / "tar", filter="data") if hasattr(tarfile, "data_filter") else t.extractall(back / "tar")
    same(here, back / "tar" / "tree")
    site.smb(f"""deltree tree
        tar x {back}/t.tar""", login, *more)
    same(here, there)
    text = site.smb("""cd tree
        rename one two
        rename two "a folder\\one"
        mkdir new
        rename new "a folder\\new"
        rmdir "a folder\\new"
        scopy null null.copy
        scopy "a folder\\with\\3000001.bin" copy.bin
        del null
        cd "a folder"
        del "file *"
        ls
        cd ..
        ls *.bin
        du""", login, *more)
    assert "copy.bin" in text and "3000001" in text and "Grüße – ελληνικά.txt" in text and "file 0" not in text, text
    assert filecmp.cmp(there / "copy.bin", here / "a folder" / "with" / "3000001.bin", shallow=False)
    assert (there / "null.copy").stat().st_size == 0 and (there / "a folder" / "one").read_bytes() == b"x"
    assert not (there / "null").exists() and not (there / "one").exists()
    site.smb("deltree tree", login, *more)
    assert not list(site.folder().iterdir())
    shutil.rmtree(back)


# ---- Every way of being connected ------------------------------------------------------------------------------------

def dialect_works(protocol, logins, encrypted=()):
    """The copies with some logins each (test smb-logins has every login in every dialect)."""
    def readable(packets):
        """With the keys each encrypted record was read, and the tree's names were in it."""
        sealed = [p for p in packets if p.sealed]
        assert len(sealed) > 250 and all(p.commands for p in sealed)
        assert any("Grüße" in name for p in sealed for name in p.names)

    with serving() as site:
        for login in logins:
            copies(site, login or site.alice, "-m", protocol)
        if protocol >= "SMB3":
            for login in encrypted:
                copies(site, login or site.alice, "-m", protocol, ENCRYPTED)
            site.looks.append(readable)
            # What is not encrypted for the share is refused; what is, is not to be read on the way.
            site.smb("put /etc/hostname f", site.alice, "-m", protocol, share="sealed")
        else:
            assert "NT_STATUS_ACCESS_DENIED" in site.smb("ls", site.alice, "-m", protocol, share="sealed", fails=True)
            site.smb("ls", ADA, "-m", protocol, ENCRYPTED, fails=True)


def test_smb2_02():
    dialect_works("SMB2_02", [ALICE, GUEST])


def test_smb2_10():
    dialect_works("SMB2_10", [ADA])


def test_smb3_00():
    dialect_works("SMB3_00", [ALICE], [ADA])


def test_smb3_02():
    dialect_works("SMB3_02", [ADA], [ALICE])


def test_smb3_11():
    dialect_works("SMB3_11", [ALICE, GUEST], [ADA])


def test_every_cipher_and_signature():
    """Each algorithm alone, as smbclient can be told to offer it; Wireshark reads them with the session's keys."""
    with serving() as site:
        (site.folder() / "f").write_bytes(os.urandom(300000))
        for cipher in ("AES-128-CCM", "AES-128-GCM", "AES-256-CCM", "AES-256-GCM"):
            site.smb(f"""get f {site.work}/f
                ls""", site.alice, ENCRYPTED, f"--option=client smb3 encryption algorithms = {cipher}")
            assert filecmp.cmp(site.work / "f", site.folder() / "f", shallow=False)
        for algorithm in ("HMAC-SHA256", "AES-128-CMAC", "AES-128-GMAC"):
            site.smb(f"get f {site.work}/f", ADA, SIGNED, f"--option=client smb3 signing algorithms = {algorithm}")

        def all_spoken(packets):
            answers = [p for p in packets if p.commands == ["0"] and p.answer == ["1"]]
            ciphers = [int(i, 0) for p in answers for i in p.ciphers]
            assert [ciphers.count(cipher) for cipher in (1, 2, 3, 4)] == [1, 4, 1, 1], ciphers
            assert {int(i, 0) for p in answers for i in p.signings} == {0, 1, 2}
            assert all(p.commands for p in packets if p.sealed)

        site.looks.append(all_spoken)


def test_kerberos_with_krb5_conf_only():
    """No smb.conf, no options but those of the login: what somebody types on a machine that has just krb5.conf."""
    with serving() as site:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KRB5", "SMB"))}
        netns.put_file("/etc/krb5.conf", site.server.realm.krb5_conf.read_text())
        netns.overlay_folder("/etc/samba")
        (pathlib.Path("/etc/samba") / "smb.conf").write_text("")
        env["KRB5CCNAME"] = str(site.alice["ccache"])
        r = subprocess.run(["smbclient", "--use-kerberos=required", f"//{HOST}/share", "-c", "put /etc/hostname f; ls"], env=env,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert r.returncode == 0 and " f " in r.stdout, r.stdout
        r = subprocess.run(["smbclient", "--use-kerberos=required", "-L", f"//{HOST}"], env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert r.returncode == 0 and re.search(r"^\s+share +Disk", r.stdout, re.M), r.stdout
        # Without a ticket: the client says what is missing.
        r = subprocess.run(["smbclient", "--use-kerberos=required", "-N", f"//{HOST}/share", "-c", "ls"],
                           env=dict(env, KRB5CCNAME=str(site.work / "none")), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert r.returncode != 0 and "NT_STATUS_" in r.stdout, r.stdout


# ---- What files have besides contents --------------------------------------------------------------------------------

def test_attributes_and_times():
    with serving() as site:
        (site.folder() / "f.txt").write_text("text")
        os.chmod(site.folder() / "f.txt", 0o666)
        site.smb("setmode f.txt +rhs", ADA)
        text = site.smb("allinfo f.txt", ADA)
        assert re.search(r"^attributes: RHS?A? ?", text, re.M) and "stream: [::$DATA], 4 bytes" in text, text
        assert "altname: f.txt" in text, text
        assert re.search(r"f\.txt +A?H?S?R?[AHSR]{3,4} ", site.smb("ls", ADA)), site.smb("ls", ADA)
        assert "NT_STATUS_" in site.smb("put /etc/hostname f.txt", ADA, fails=True)  # read only
        site.smb("setmode f.txt -rhs", ADA)
        site.smb("""del f.txt
            put /etc/hostname f.txt
            utimes f.txt 2001:02:03-04:05:06 2002:02:03-04:05:06 2003:02:03-04:05:06 -1""", ADA)
        text = site.smb("allinfo f.txt", ADA)
        for key, year in (("create_time", 2001), ("access_time", 2002), ("write_time", 2003)):
            assert re.search(rf"^{key}: .* {year} ", text, re.M), text
        assert time.gmtime((site.folder() / "f.txt").stat().st_mtime).tm_year == 2003
        # A name that is longer than a short one has no other.
        (site.folder() / "a longer name.html").write_text("x")
        assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in site.smb('altname "a longer name.html"', ADA, fails=True)
        assert "f.txt" in site.smb("altname f.txt", ADA)
        text = site.smb("volume", ADA)
        assert "|share|" in text, text


def test_streams():
    with serving() as site:
        data = os.urandom(70001)
        (site.work / "s").write_bytes(data)
        site.smb(f"""put /etc/hostname f.txt
            put {site.work}/s f.txt:Zone.Identifier
            put {site.work}/s f.txt:other""", ADA)
        text = site.smb("allinfo f.txt", ADA)
        assert "stream: [:Zone.Identifier:$DATA], 70001 bytes" in text and "stream: [:other:$DATA]" in text, text
        site.smb(f"get f.txt:Zone.Identifier {site.work}/t", site.alice)
        assert (site.work / "t").read_bytes() == data
        assert "f.txt:" not in site.smb("ls", ADA)
        # They go where the file goes, also with a copy that the server makes of the tree's names.
        site.smb("rename f.txt g.txt", ADA)
        assert "Zone.Identifier" in site.smb("allinfo g.txt", ADA)
        assert site.smb("get g.txt:nothing /dev/null", ADA, fails=True)
        assert (site.folder() / "g.txt").read_bytes() == pathlib.Path("/etc/hostname").read_bytes()


def test_streams_over_nfs():
    """smbclient's streams are the named attributes of NFS, in 4.0 as a Mac has it and in 4.2."""
    with serving(nfs=True) as site:
        port = site.server.nfs_port
        for minor in (0, 2):
            conn = nfsraw.Conn(port=port, cred=nfsraw.auth_sys(0, 0), timeout=60)
            c = nfsraw.Client40(conn) if minor == 0 else nfsraw.Session(conn, minor=minor)
            data = os.urandom(70001)
            (site.work / "s").write_bytes(data)
            site.smb(f"""put /etc/hostname f{minor}
                put {site.work}/s f{minor}:from.smb""", ADA)
            fh = c.walk(f"share/f{minor}")
            assert c.call(nfs.putfh(fh), nfs.openattr(), nfs.lookup("from.smb"), nfs.read(bytes(16), 0, 80000)).ok().last.data == data
            d = c.call(nfs.putfh(fh), nfs.openattr(True), nfs.getfh()).ok().last.fh
            o = c.open(d, "from.nfs", nfs.BOTH, how="guarded")
            c.call(nfs.putfh(o.fh), nfs.write(o.stateid, 0, data[::-1])).ok()
            c.close(o.fh, o.stateid).ok()
            text = site.smb(f"allinfo f{minor}", ADA)
            assert "stream: [:from.smb:$DATA], 70001 bytes" in text and "stream: [:from.nfs:$DATA], 70001 bytes" in text, text
            site.smb(f"get f{minor}:from.nfs {site.work}/t", site.alice)
            assert (site.work / "t").read_bytes() == data[::-1]
            c.call(nfs.putfh(d), nfs.remove("from.smb")).ok()
            assert site.smb(f"get f{minor}:from.smb /dev/null", ADA, fails=True)
            site.smb(f"del f{minor}", ADA)
            assert c.call(nfs.putfh(o.fh), nfs.getattr("type")).error == "STALE"
            conn.close()

    found, (listings,) = site.capture.complaints_and_counts("nfs.opcode == 19 && rpc.msgtyp == 1", ports={"rpc": [port]})
    assert not found and listings == 4, (found, listings)


def test_extended_attributes():
    with serving() as site:
        site.smb("""put /etc/hostname f
            mkdir d
            setea f one 1
            setea f two "zwei drei"
            setea d of-a-folder yes""", ADA)
        text = site.smb("geteas f", ADA)
        assert "one (0) =" in text and "two (0) =" in text, text
        assert "of-a-folder" in site.smb("geteas d", site.alice)
        site.smb('setea f one ""', ADA)
        text = site.smb("geteas f", ADA)
        assert "one (0)" not in text and "two (0)" in text, text
        # What is the server's own is nobody's attribute.
        assert "lares" not in text and "DOSATTRIB" not in text, text


def test_symbolic_links():
    with serving() as site:
        (site.folder() / "d").mkdir()
        os.chmod(site.folder() / "d", 0o777)
        (site.folder() / "d" / "f").write_text("inside")
        os.symlink("d", site.folder() / "to-d")
        os.symlink("/etc", site.folder() / "out")
        os.symlink("../../../../etc/hostname", site.folder() / "up")
        text = site.smb("ls", ADA)
        assert "to-d" in text, text
        for path in ("out\\hostname", "up", "out"):  # what leads outside leads nowhere
            site.smb(f'get {path} {site.work}/stolen', ADA, fails=True)
            assert not (site.work / "stolen").exists() or not (site.work / "stolen").stat().st_size


# ---- Directories -----------------------------------------------------------------------------------------------------

def test_large_directory():
    """Every name once, in every dialect; a wildcard, one name, and letters of another case among them."""
    with serving(captured=False) as site:
        top = site.folder() / "large"
        top.mkdir()
        os.chmod(top, 0o777)
        for i in range(10000):
            (top / f"File number {i:05}.txt").touch()
        for protocol in ("SMB2_02", "SMB3_11"):
            text = site.smb("cd large\nls", ADA, "-m", protocol)
            names = re.findall(r"^  (File number \d{5}\.txt) ", text, re.M)
            assert len(names) == len(set(names)) == 10000, (len(names), len(set(names)))
        began = time.monotonic()
        text = site.smb("""cd large
            ls *0234?.*
            ls "FILE NUMBER 09999.TXT"
            get "file number 00000.TXT" /dev/null
            rename "file Number 00001.txt" "FILE number 00001.txt"
            ls "file*00001*\"""", ADA)
        assert len(re.findall(r"^  File number 0234\d", text, re.M)) == 10 and "File number 09999.txt" in text, text
        assert "FILE number 00001.txt" in text, text
        assert time.monotonic() - began < 20
        site.smb("deltree large", ADA, timeout=180)
        assert not top.exists()


def test_names_windows_has_not():
    """What another system may call a file is shown under a name that leads back to it."""
    with serving() as site:
        names = ["CON", "nul.txt", "a:b", "trailing.", "trailing ", "what?", "star*", "tab\there", "back\\slash", "<&|>\"", "LPT1.x"]
        for name in names:
            (site.folder() / name).write_text("contents of " + name)
        text = site.smb("ls", ADA)
        assert len(re.findall(r"^  .+ [A-Za-z]+ +\d+  \w{3} \w{3}", text, re.M)) == len(names) + 2, text
        (site.work / "names").mkdir()
        site.smb(f"""lcd {site.work}/names
            prompt off
            mget *""", ADA)
        got = sorted(f.read_text() for f in (site.work / "names").iterdir())
        assert got == sorted("contents of " + n for n in names), got


def test_case():
    with serving() as site:
        site.smb("""mkdir Folder
            put /etc/hostname Folder\\Straße.TXT""", ADA)
        site.smb(f"get fOLDER\\straße.txt {site.work}/f", ADA)
        assert "NT_STATUS_OBJECT_NAME_COLLISION" in site.smb("mkdir FOLDER", ADA, fails=True)
        site.smb("put /etc/hosts FOLDER\\STRAßE.txt", ADA)
        assert os.listdir(site.folder() / "Folder") == ["Straße.TXT"]
        assert (site.folder() / "Folder" / "Straße.TXT").read_bytes() == pathlib.Path("/etc/hosts").read_bytes()
        site.smb("rename folder FOLDER", ADA)
        assert os.listdir(site.folder()) == ["FOLDER"]
        # Its short name, too, once the share has them; one that is short as it is always is its own.
        site.smb('put /etc/hostname "A rather long name.text"', ADA)
        assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in site.smb('altname "A rather long name.text"', ADA, fails=True)
        site.server.verb("share.set", name="share", **{"smb-short-names": True})
        short = site.smb('altname "A rather long name.text"', ADA).split()[-1]
        assert re.fullmatch(r"A~[0-9A-V]{6}\.TEX", short), short
        assert listed(site.smb(f"get {short.lower()} {site.work}/short\nls {short}", ADA)) == {"A rather long name.text"}
        assert (site.work / "short").read_text() == pathlib.Path("/etc/hostname").read_text()


def test_notify():
    """A watcher hears what another client does, and what is done on the server's own machine by NFS' way, the share."""
    with serving() as site:
        (site.folder() / "watched").mkdir()
        os.chmod(site.folder() / "watched", 0o777)
        p = subprocess.Popen(["stdbuf", "-oL", "smbclient", f"//{HOST}/share", "-s", site.server.conf, *site.server.login(**ADA), "-c",
                              "notify watched"], env=site.server.environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(p.stdout), daemon=True)
        reader.start()
        try:
            end = time.monotonic() + 60
            while not any("0001" in line and "first" in line for line in seen) and time.monotonic() < end:
                site.smb("put /etc/hostname watched\\first", site.alice)
                site.smb("del watched\\first", site.alice)
            site.smb("""mkdir watched\\deep
                put /etc/hostname watched\\deep\\below
                rename watched\\deep\\below watched\\deep\\renamed
                del watched\\deep\\renamed
                rmdir watched\\deep""", site.alice)
            while not any("0002" in line and line.rstrip().endswith("deep") for line in seen) and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            p.terminate()
            p.wait()
            reader.join(5)
        text = "".join(seen)
        for action, name in (("0001", "first"), ("0002", "first"), ("0001", "deep"), ("0004", "below"), ("0005", "renamed"),
                             ("0002", "deep")):
            assert re.search(rf"^{action} .*{name}$", text, re.M), (action, name, text)


# ---- Access ----------------------------------------------------------------------------------------------------------

def test_acls():
    """What smbcacls sets is what counts, for SMB, and on the server's own disk."""
    with serving() as site:
        site.smb("put /etc/hostname f", ADA)
        text = site.acl("f", ADA)
        assert re.search(r"^OWNER:.*ada$", text, re.M) and re.search(r"^ACL:.*ada:ALLOWED", text, re.M), text
        os.chmod(site.folder() / "f", 0o600)
        site.smb("get f /dev/null", BOB, fails=True)
        site.acl("f", ADA, "-a", "ACL:NAS\\bob:ALLOWED/0/READ")
        assert re.search(r"^ACL:.*bob:ALLOWED/0x0/READ$", site.acl("f", ADA), re.M), site.acl("f", ADA)
        site.smb("get f /dev/null", BOB)
        site.smb("put /etc/hostname f", BOB, fails=True)
        site.acl("f", ADA, "-M", "ACL:NAS\\bob:ALLOWED/0/CHANGE")
        site.smb("put /etc/hostname f", BOB)
        site.acl("f", ADA, "-D", "ACL:NAS\\bob:ALLOWED/0/CHANGE")
        site.smb("get f /dev/null", BOB, fails=True)
        # Denied is denied, whoever else is allowed.
        site.acl("f", ADA, "-S", "ACL:NAS\\bob:DENIED/0/R,ACL:Everyone:ALLOWED/0/READ,ACL:NAS\\ada:ALLOWED/0/FULL")
        site.smb("get f /dev/null", BOB, fails=True)
        site.smb("get f /dev/null", site.alice)
        # Only who may change it can.
        for login in (BOB, site.alice, GUEST):
            site.acl("f", login, "-a", "ACL:Everyone:ALLOWED/0/FULL", fails=True)
            site.acl("f", login, "-C", "NAS\\bob", fails=True)
        assert "S-1-" in site.acl("f", ADA, "--numeric")


def test_inheritance():
    with serving() as site:
        site.smb("mkdir top", ADA)
        site.acl("top", ADA, "-S", "ACL:NAS\\ada:ALLOWED/OI|CI/FULL,ACL:NAS\\bob:ALLOWED/OI|CI/READ")
        site.smb("""mkdir top\\below
            put /etc/hostname top\\below\\f""", ADA)
        assert re.search(r"^ACL:.*bob:ALLOWED/(0x0|I|0x10)/READ$", site.acl("top/below/f", ADA), re.M), site.acl("top/below/f", ADA)
        assert re.search(r"^ACL:.*bob:ALLOWED/(OI\|CI|OI\|CI\|I|0x3|0x13)/READ$", site.acl("top/below", ADA), re.M), site.acl("top/below", ADA)
        site.smb("get top\\below\\f /dev/null", BOB)
        site.smb("put /etc/hostname top\\below\\g", BOB, fails=True)
        site.smb("get top\\below\\f /dev/null", site.alice, fails=True)
        # An entry that goes down the whole tree, and away again.
        site.acl("top", ADA, "--propagate-inheritance", "-a", "ACL:NAS\\alice:ALLOWED/OI|CI/READ")
        site.smb("get top\\below\\f /dev/null", site.alice)
        site.acl("top", ADA, "--propagate-inheritance", "-D", "ACL:NAS\\alice:ALLOWED/OI|CI/READ")
        site.smb("get top\\below\\f /dev/null", site.alice, fails=True)
        # A folder that does not inherit any more keeps a copy, or nothing.
        site.acl("top/below", ADA, "--inherit=copy")
        text = site.acl("top/below", ADA)
        assert "|I/" not in text and re.search(r"bob:ALLOWED/(OI\|CI|0x3)/READ", text), text
        site.acl("top/below", ADA, "--inherit=allow")
        assert re.search(r"ALLOWED/(OI\|CI\|I|0x13)/", site.acl("top/below", ADA)), site.acl("top/below", ADA)


def test_other_peoples_files():
    """Permissions count for every command, not just for reading."""
    with serving() as site:
        site.smb("""mkdir mine
            put /etc/hostname mine\\f""", ADA)
        os.chmod(site.folder() / "mine", 0o755)
        os.chmod(site.folder() / "mine" / "f", 0o644)
        site.smb("get mine\\f /dev/null", BOB)
        for command in ("put /etc/hostname mine\\f", "put /etc/hostname mine\\g", "del mine\\f", "rename mine\\f mine\\g",
                        "mkdir mine\\d", "rmdir mine", "setmode mine\\f +r", "setea mine\\f a b", "scopy mine\\f mine\\g",
                        "put /etc/hostname mine\\f:stream", "utimes mine\\f -1 -1 2003:02:03-04:05:06 -1", "deltree mine"):
            for login in (BOB, GUEST):
                site.smb(command, login, fails=True)
        os.chmod(site.folder() / "mine", 0o700)
        site.smb("cd mine\nls", BOB, fails=True)
        site.smb("get mine\\f /dev/null", BOB, fails=True)
        # As on Windows, once the share has that: what one knows the name of and may read.
        site.server.verb("share.set", name="share", **{"smb-bypass-traverse": True})
        site.smb("get mine\\f /dev/null", BOB)
        for command in ("ls mine\\*", "del mine\\f"):
            site.smb(command, BOB, fails=True)
        assert sorted(os.listdir(site.folder() / "mine")) == ["f"]
        assert (site.folder() / "mine" / "f").stat().st_mtime > 1.5e9


def test_read_only_share():
    with serving() as site:
        site.smb("""mkdir d
            put /etc/hostname f""", ADA)
        site.server.verb("share.set", name="share", **{"read-only": True})
        for command in ("put /etc/hostname f", "put /etc/hostname g", "del f", "rename f g", "rmdir d", "setmode f +h", "setea f a b",
                        "scopy f g"):
            site.smb(command, ADA, fails=True)
        site.smb("get f /dev/null\nls", ADA)
        site.acl("f", ADA, "-a", "ACL:Everyone:ALLOWED/0/FULL", fails=True)
        site.server.verb("share.set", name="share", **{"read-only": False})
        site.smb("put /etc/hostname f", ADA)


def listed(text):
    return set(re.findall(r"^  (\S.*?) {2,}[A-Za-z]* +\d+  \w{3} ", text, re.M)) - {".", ".."}


def test_access_based_listing():
    """What one may not read is not there to see, from the moment on that the share says so."""
    with serving() as site:
        site.smb("""mkdir private
            mkdir public
            put /etc/hostname private\\inside
            put /etc/hostname open
            put /etc/hostname secret
            put /etc/hostname bobs""", ADA)
        for name, mode in (("private", 0o700), ("public", 0o755), ("open", 0o644), ("secret", 0o600), ("bobs", 0o600)):
            os.chmod(site.folder() / name, mode)
        site.acl("bobs", ADA, "-a", "ACL:NAS\\bob:ALLOWED/0/READ")
        everything = {"private", "public", "open", "secret", "bobs"}
        for login in (ADA, BOB, GUEST):
            assert listed(site.smb("ls", login)) == everything
        site.server.verb("share.set", name="share", **{"access-based": True})
        for protocol in PROTOCOLS:
            assert listed(site.smb("ls", ADA, "-m", protocol)) == everything
            assert listed(site.smb("ls", BOB, "-m", protocol)) == {"public", "open", "bobs"}
            assert listed(site.smb("ls", GUEST, "-m", protocol)) == {"public", "open"}
        # By name and by pattern it is not there either; and permissions are what they were.
        for what in ("secret", "sec*", "private"):
            assert "NT_STATUS_NO_SUCH_FILE" in site.smb(f"ls {what}", BOB, fails=True), what
        assert "NT_STATUS_ACCESS_DENIED" in site.smb("get secret /dev/null", BOB, fails=True)
        r = site.server.rpcclient("netsharegetinfo share 1005", **ADA)
        assert "flags: 0x800" in r.stdout or "0x800" in r.stdout.lower(), r.stdout
        site.server.verb("share.set", name="share", **{"access-based": False})
        assert listed(site.smb("ls", BOB)) == everything


def test_encrypted_share():
    """Whatever the login: who does not encrypt is not let in; and what was connected before is not, any more."""
    def unseen(packets):
        named = [bool(p.sealed) for p in packets if any("secret" in name for name in p.names)]
        assert named and all(named)

    with serving() as site:
        site.server.add_share("vault", site.folder("vault"), ["krb5", "ntlm", "sys"], **{"smb-encrypt": True})
        for login in (ADA, site.alice):
            for protocol in PROTOCOLS[2:]:
                site.smb("""put /etc/hostname secret
                    ls
                    del secret""", login, "-m", protocol, share="vault")  # the client is told, and begins to encrypt
                site.smb("ls", login, "-m", protocol, ENCRYPTED, share="vault")
            for protocol in PROTOCOLS[:2]:
                assert "NT_STATUS_ACCESS_DENIED" in site.smb("ls", login, "-m", protocol, share="vault", fails=True)
        assert "NT_STATUS_ACCESS_DENIED" in site.smb("ls", GUEST, share="vault", fails=True)
        assert "encrypt" in site.server.laresd.log()
        # Shares that one cannot use are not listed.
        for login, seen in ((GUEST, False), (ADA, True)):
            r = site.run(["smbclient", "-L", f"//{HOST}", "-s", site.server.conf], login)
            assert bool(re.search(r"^\s+vault +Disk", r.stdout, re.M)) == seen, r.stdout
        site.looks.append(unseen)

        # Live: a session that is connected without encryption ends.
        p = subprocess.Popen(["smbclient", f"//{HOST}/share", "-s", site.server.conf, *site.server.login(**ADA)],
                             env=site.server.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        p.stdin.write("mkdir before\n")
        p.stdin.flush()
        while not (site.folder() / "before").exists():
            time.sleep(0.02)
        site.server.verb("share.set", name="share", **{"smb-encrypt": True})
        out, _ = p.communicate("mkdir after\nquit\n", timeout=60)
        assert "NT_STATUS_" in out and not (site.folder() / "after").exists(), out
        site.smb("mkdir after", ADA)
        assert (site.folder() / "after").exists()


def test_server_that_encrypts_everything():
    with serving(smb={"encryption": "required"}) as site:
        for login in (ADA, site.alice):
            site.smb("""put /etc/hostname f
                ls
                del f""", login)
            site.smb("ls", login, "-m", "SMB2_10", fails=True)
        site.smb("ls", GUEST, fails=True)


# ---- Other tools -----------------------------------------------------------------------------------------------------

def test_smbget():
    with serving() as site:
        make_tree(site.folder() / "tree")
        for number, more in enumerate(([], ["-e"])):
            there = site.work / f"got{number}"
            there.mkdir()
            r = site.server.run(["sh", "-c", 'cd "$0" && exec "$@"', there, "smbget", "-R", "-n", "-q", *more, "-U", "ada%" + PASSWORD, f"smb://{HOST}/share/tree"], timeout=60)
            assert r.returncode == 0, r.stdout
            # smbget makes no folder that has nothing in it.
            (there / "nothing in here").mkdir(exist_ok=True)
            same(site.folder() / "tree", there)
        r = site.server.run(["smbget", "-n", "-a", "-O", f"smb://{HOST}/share/tree/one"])
        assert r.returncode == 0 and "x" in r.stdout.splitlines(), r.stdout
        shutil.copy(site.folder() / "tree" / "one", site.folder("sealed"))
        # (With a wrong password smbget goes on as a guest.)
        r = site.server.run(["smbget", "-n", "-O", "-U", "ada%wrong", f"smb://{HOST}/sealed/one"])
        assert r.returncode != 0, r.stdout


def test_what_was_captured():
    """Nothing of it is malformed, and each site's own looks find what they want."""
    together = capture.Together(captures() / "all", [c for c, _ in KEPT])
    found = together.complaints()
    assert not found, "\n".join(found[:20])
    packets = collections.defaultdict(list)
    for address, *fields in together.table("ip.dst", *FIELDS):
        if address:
            packets[address[0]].append(Packet(*fields))
    for n, (_, looks) in enumerate(KEPT, 1):
        assert packets[f"127.{n}.0.1"], n
        for look in looks:
            look(packets[f"127.{n}.0.1"])


if __name__ == "__main__":
    gone = missing("smbclient", "smbcacls", "smbget", "ip", "stdbuf") or capture.missing()
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        gone = str(e)
    gone = gone or netns.enter({HOST: "127.0.0.1"})
    if gone:
        print("1..0 # SKIP needs root, a KDC, Wireshark and Samba's clients:", gone)
        sys.exit(77)
    if len(sys.argv) > 1:
        sys.argv.append("what_was_captured")
    with LAST:
        tap.main(globals())
