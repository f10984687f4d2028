#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresctl makes a realm: users with passwords from everywhere they may come from, machines and their keytabs, client
kits; and no password is ever in a log or on a command line."""
import os
import pwd
import re
import shutil
import stat
import subprocess
import unittest

from climate import CONFLICT, DENIED, NOT_FOUND, OK, REALM, UNAVAILABLE, USAGE, Served, block, on_terminal, rows
from laresd import free_port

SECRET = 'Zebra"\\-ünique-7'
SECOND = "Giraffe-unique-8"


class Realm(Served):
    realm = True
    passwords = [SECRET, SECOND]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ports = [str(free_port()) for _ in range(3)]

    def kinit(self, user, password):
        cache = self.path("cc-" + user.replace("/", "-"))
        env = dict(os.environ, KRB5_CONFIG=os.path.join(self.d.state, "realm", "krb5.conf"), KRB5CCNAME="FILE:" + cache,
                   LC_ALL="C.UTF-8")
        return subprocess.run(["kinit", "%s@%s" % (user, REALM)], input=password + "\n", env=env, capture_output=True,
                              text=True, timeout=60)

    def assert_ticket(self, user, password):
        done = self.kinit(user, password)
        self.assertEqual(done.returncode, 0, done.stderr)

    def make(self, *more, **kw):
        return self.run_ctl("realm", "create", REALM, "--listen", "127.0.0.1", "--kdc-port", self.ports[0],
                            "--kadmin-port", self.ports[1], "--kpasswd-port", self.ports[2], *more, **kw)

    # Tests run in the order of their names: the realm grows from one to the next.

    def test_1_before_there_is_a_realm(self):
        self.assertIn("realm create", self.refused(NOT_FOUND, "realm", "status"))
        self.refused(NOT_FOUND, "realm", "user", "add", "ada", "--generate-password")
        self.refused(USAGE, "realm", "create", "home.lan")
        # A password has no place to be kept: said, with what there is instead, and nobody is half made.
        said = self.refused(UNAVAILABLE, "user", "add", "ada", "--generate-password")
        for part in ("realm create", "ntlm enable ada"):
            self.assertIn(part, said)
        self.refused(NOT_FOUND, "user", "show", "ada")
        self.ok("user", "add", "early")
        self.refused(UNAVAILABLE, "user", "passwd", "early", "--generate-password")
        self.ok("user", "delete", "early")

    def test_2_create_with_users(self):
        done = self.make("--user", "ada,bob", "--password-stdin", stdin=SECRET + "\n" + SECOND + "\n")
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        for part in ("The realm HOME.LAN is made.", "What to do next:", "kinit ada@HOME.LAN",
                     "laresctl realm client-config linux"):
            self.assertIn(part, done.stdout)
        self.assert_ticket("ada", SECRET)
        self.assert_ticket("bob", SECOND)
        self.assertNotEqual(self.kinit("ada", "wrong").returncode, 0)
        self.assertEqual([r["NAME"] for r in rows(self.ok("realm", "user", "list"))], ["ada", "bob"])
        self.assertEqual([u["name"] for u in self.json("user", "list")], ["ada", "bob"])
        shown = block(self.ok("realm", "status"))
        self.assertEqual((shown["Realm"], shown["Running"], shown["KDC port"]), (REALM, "yes", self.ports[0]))

    def test_3_create_again_keeps_what_is_there(self):
        done = self.make("--user", "ada", "--generate-password", "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn("keeps the password", done.stderr)
        self.assertIn('"created" : false', done.stdout)
        self.assertNotIn('"password"', done.stdout)
        self.assert_ticket("ada", SECRET)
        self.refused(CONFLICT, "realm", "create", "OTHER.LAN")

    def test_4_passwords_from_everywhere(self):
        made = self.json("realm", "user", "add", "cyd", "--generate-password")
        self.passwords.append(made["password"])
        self.assertGreaterEqual(len(made["password"]), 20)
        self.assert_ticket("cyd", made["password"])
        self.refused(CONFLICT, "realm", "user", "add", "cyd", "--generate-password")
        self.ok("realm", "user", "passwd", "cyd", "--password-stdin", stdin=SECOND)
        self.assert_ticket("cyd", SECOND)
        text = self.ok("realm", "user", "passwd", "cyd", "--generate-password")
        self.passwords.append(text.split()[-1])
        self.assert_ticket("cyd", self.passwords[-1])
        self.refused(USAGE, "realm", "user", "passwd", "cyd", "--password-stdin", stdin="short")
        self.refused(USAGE, "realm", "user", "passwd", "cyd", "--password-stdin", stdin="")
        self.refused(USAGE, "realm", "user", "passwd", "cyd", "--password-stdin", "--generate-password")
        self.refused(NOT_FOUND, "realm", "user", "passwd", "nix", "--generate-password")
        self.refused(USAGE, "realm", "user", "add", "no way", "--generate-password")
        self.assertIn("--password-stdin", self.refused(USAGE, "realm", "user", "passwd", "cyd", start_new_session=True))

    def test_5_asked_for_on_a_terminal(self):
        words = ["--socket", self.d.control, "realm", "user", "add", "dee"]
        code, seen = on_terminal(words, [("New password for dee", SECRET + "\n"), ("Once more", SECOND + "\n")])
        self.assertEqual(code, USAGE)
        self.assertIn("differ", seen)
        code, seen = on_terminal(words, [("New password for dee", SECRET + "\n"), ("Once more", SECRET + "\n")])
        self.assertEqual(code, OK, seen)
        self.assertNotIn("Zebra", seen)
        self.assert_ticket("dee", SECRET)
        code, seen = on_terminal(words, [("New password for dee", "\x03")])
        self.assertNotEqual(code, OK)

    def test_6_disable_enable_remove(self):
        self.ok("realm", "user", "disable", "bob")
        self.assertNotEqual(self.kinit("bob", SECOND).returncode, 0)
        table = {r["NAME"]: r for r in rows(self.ok("realm", "user", "list"))}
        self.assertEqual((table["bob"]["DISABLED"], table["ada"]["DISABLED"]), ("yes", "no"))
        self.ok("realm", "user", "enable", "bob")
        self.assert_ticket("bob", SECOND)
        self.ok("realm", "user", "remove", "bob")
        self.assertNotEqual(self.kinit("bob", SECOND).returncode, 0)
        self.refused(NOT_FOUND, "realm", "user", "remove", "bob")

    # ---- one word for a person

    def test_6_person_1_with_a_password(self):
        text = self.ok("user", "add", "pia", "--full-name", "Pia P", "--password-stdin", stdin=SECRET)
        self.assertIn("pia can get tickets now.", text)
        self.assertEqual(block(text)["Source"], "local")
        self.assert_ticket("pia", SECRET)
        code, seen = on_terminal(["--socket", self.d.control, "user", "add", "pit", "--password"],
                                 [("New password for pit", SECRET + "\n"), ("Once more", SECRET + "\n")])
        self.assertEqual(code, OK, seen)
        self.assertNotIn("Zebra", seen)
        self.assert_ticket("pit", SECRET)
        made = self.json("user", "add", "pam", "--generate-password", "--uid", "5007")
        self.passwords.append(made["password"])
        self.assertEqual((made["uid"], made["source"]), (5007, "local"))
        self.assert_ticket("pam", made["password"])
        # The same person, whichever word made them: what is shown differs in name and number only.
        self.ok("realm", "user", "add", "pol", "--password-stdin", stdin=SECRET)
        one, other = self.json("user", "show", "pit"), self.json("user", "show", "pol")
        for shown in (one, other):
            for key in ("name", "uid", "created"):
                del shown[key]
        self.assertEqual(one, other)
        self.assertNotIn("password", self.ok("user", "add", "quiet"))
        self.assertNotEqual(self.kinit("quiet", SECRET).returncode, 0)

    def test_6_person_2_from_a_file(self):
        path = self.path("secret")
        with open(path, "w") as f:
            f.write(SECOND + "\nand more\n")
        os.chmod(path, 0o644)
        self.assertIn("chmod 600", self.refused(USAGE, "user", "add", "fay", "--password-file", path))
        os.chmod(path, 0o600)
        self.ok("user", "add", "fay", "--password-file", path)
        self.assert_ticket("fay", SECOND)
        self.refused(USAGE, "user", "add", "fae", "--password-file", path, "--password-stdin")
        self.refused(USAGE, "user", "add", "fae", "--password-file", self.path("nothing"))
        self.refused(NOT_FOUND, "user", "show", "fae")

    def test_6_person_3_made_whole_or_not_at_all(self):
        before = self.json("user", "list")
        for name, secret, code in (("una", "short", USAGE), ("una", "una", USAGE), ("un/admin", SECRET, CONFLICT),
                                   ("a b", SECRET, USAGE), ("üna", SECRET, USAGE)):
            said = self.refused(code, "user", "add", name, "--password-stdin", stdin=secret)
            self.assertNotIn(SECRET, said)
        self.refused(CONFLICT, "user", "add", "una", "--uid", "5007", "--password-stdin", stdin=SECRET)
        self.assertEqual(self.json("user", "list"), before)
        self.assertNotIn("una", self.ok("realm", "user", "list"))
        self.assertIn("user passwd pia", self.refused(CONFLICT, "user", "add", "pia", "--password-stdin", stdin=SECOND))
        self.assert_ticket("pia", SECRET)
        # A principal of that name would be somebody else.
        self.ok("mapping", "set", "mia@" + REALM, "pia")
        self.assertIn("mapped to pia", self.refused(CONFLICT, "user", "add", "mia", "--password-stdin", stdin=SECRET))
        self.ok("mapping", "delete", "mia@" + REALM)
        self.refused(NOT_FOUND, "user", "show", "mia")

    def test_6_person_4_gets_another_password(self):
        self.ok("user", "passwd", "pia", "--password-stdin", stdin=SECOND)
        self.assert_ticket("pia", SECOND)
        self.assertNotEqual(self.kinit("pia", SECRET).returncode, 0)
        # Somebody without one gets a first one; nobody is made by it.
        self.ok("user", "passwd", "quiet", "--password-stdin", stdin=SECRET)
        self.assert_ticket("quiet", SECRET)
        self.assertIn("user add nix", self.refused(NOT_FOUND, "user", "passwd", "nix", "--generate-password"))
        self.refused(CONFLICT, "user", "passwd", "ada/admin", "--generate-password")  # the realm's business

    def test_6_person_5_off_and_on(self):
        self.ok("user", "disable", "pia")
        self.assertNotEqual(self.kinit("pia", SECOND).returncode, 0)
        self.assertTrue(self.json("user", "show", "pia")["disabled"])
        self.assertTrue(self.json("realm", "user", "show", "pia")["disabled"])
        self.ok("user", "passwd", "pia", "--password-stdin", stdin=SECRET)
        self.assertNotEqual(self.kinit("pia", SECRET).returncode, 0)  # another password is no way back in
        self.ok("user", "enable", "pia")
        self.assert_ticket("pia", SECRET)
        # Who is off and had no password gets none by which to log in elsewhere.
        self.ok("user", "add", "off")
        self.ok("user", "disable", "off")
        self.assertIn("user enable off", self.refused(CONFLICT, "user", "passwd", "off", "--generate-password"))
        # A principal that is somebody else's is left alone.
        self.ok("mapping", "set", "pit@" + REALM, "pol")
        self.ok("user", "disable", "pit")
        self.assert_ticket("pit", SECRET)
        self.ok("mapping", "delete", "pit@" + REALM)
        self.ok("user", "enable", "pit")

    def test_6_person_6_goes(self):
        text = self.ok("user", "delete", "pia")
        self.assertIn("pia@HOME.LAN stays in the realm", text)
        self.assert_ticket("pia", SECRET)
        gone = self.json("user", "delete", "pol", "--with-principal")
        self.assertEqual((gone["principal"], gone["principal-removed"]), ("pol@HOME.LAN", True))
        self.assertNotEqual(self.kinit("pol", SECRET).returncode, 0)
        self.assertNotIn("realm", self.ok("user", "delete", "off"))
        self.refused(NOT_FOUND, "user", "delete", "pol", "--with-principal")
        for name in ("pam", "pit", "fay", "quiet"):
            self.assertIn("gets no more tickets", self.ok("user", "delete", name, "--with-principal"))
        self.ok("realm", "user", "remove", "pia")
        # Back again: the number is still theirs.
        self.assertEqual(self.json("user", "add", "pol", "--password-stdin", stdin=SECRET)["uid"], gone["uid"])
        self.ok("user", "delete", "pol", "--with-principal")

    @unittest.skipUnless(os.geteuid() == 0, "needs a user table of its own")
    def test_6_person_7_of_the_host(self):
        account = next((p for p in pwd.getpwall() if 1000 <= p.pw_uid < 60000), None)
        if not account:
            self.skipTest("this machine has no account of a person")
        self.ok("user", "add", account.pw_name, "--password-stdin", stdin=SECRET)
        shown = self.json("user", "show", account.pw_name)
        self.assertEqual((shown["source"], shown["uid"]), ("host", account.pw_uid))
        self.ok("user", "delete", account.pw_name, "--with-principal")

    def test_6_who_is_it(self):
        shown = block(self.ok("mapping", "test", "ada@" + REALM))
        self.assertEqual((shown["Verdict"], shown["Rule"], shown["User"]), ("accepted", "name", "ada"))
        shown = self.json("mapping", "test", "ada@OTHER.LAN")
        self.assertEqual((shown["verdict"], shown["reason"]), ("refused", "the realm is not ours"))
        self.assertIn("machine", self.ok("mapping", "test", "host/x@" + REALM))

    def test_7_machines(self):
        path = self.path("laptop.keytab")
        self.assertIn(path, self.ok("realm", "host", "add", "laptop.home.lan", "--keytab", path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        listed = subprocess.run(["klist", "-kt", path], capture_output=True, text=True, timeout=60).stdout
        self.assertIn("host/laptop.home.lan@HOME.LAN", listed)
        env = dict(os.environ, KRB5_CONFIG=os.path.join(self.d.state, "realm", "krb5.conf"),
                   KRB5CCNAME="FILE:" + self.path("cc-host"))
        done = subprocess.run(["kinit", "-kt", path, "host/laptop.home.lan"], env=env, capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("laptop.home.lan", [r["NAME"] for r in rows(self.ok("realm", "host", "list"))])
        self.refused(CONFLICT, "realm", "host", "keytab", "laptop.home.lan", "--keytab", path)
        with open(path, "rb") as f:
            first = f.read()
        again = self.path("again.keytab")
        self.ok("realm", "host", "keytab", "laptop.home.lan", "--output", again)
        with open(again, "rb") as f:
            self.assertEqual(f.read(), first)
        self.refused(CONFLICT, "realm", "host", "add", "laptop.home.lan", "--keytab", self.path("more.keytab"))
        self.assertFalse(os.path.exists(self.path("more.keytab")))
        self.ok("realm", "host", "add", "tv.home.lan", "--service", "nfs", cwd=self.d.dir)
        self.assertTrue(os.path.exists(self.path("tv.home.lan.keytab")))
        self.refused(NOT_FOUND, "realm", "host", "keytab", "nix.home.lan", "--keytab", self.path("nix.keytab"))
        self.assertFalse(os.path.exists(self.path("nix.keytab")))
        self.ok("realm", "host", "remove", "tv.home.lan")
        self.refused(CONFLICT, "realm", "host", "remove", "nas.home.lan")
        self.refused(USAGE, "realm", "host", "add", "10.0.0.1", "--keytab", self.path("ip.keytab"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_7_a_keytab_that_cannot_be_written_changes_nothing(self):
        self.refused(DENIED, "realm", "host", "add", "pad.home.lan", "--keytab", self.path("pad.keytab"), user=65534,
                     group=65534, extra_groups=[])
        self.assertNotIn("pad.home.lan", self.ok("realm", "host", "list"))

    def test_8_client_kits(self):
        self.ok("share", "create", "media", self.path("media"), "--sec", "krb5p")
        for system, part in (("linux", "nas.home.lan:/media"), ("macos", "nas.home.lan"), ("windows", "ksetup")):
            text = self.ok("realm", "client-config", system)
            self.assertIn(part, text)
            self.assertEqual(self.json("realm", "client-config", system)["text"].rstrip("\n"), text.rstrip("\n"))
        self.ok("share", "remove", "media")

    def test_8_rotate(self):
        due = re.search(r"^lares_realm_rotation_timestamp_seconds (\S+)$", self.ok("metrics"), re.M)
        self.assertEqual(float(due.group(1)), self.json("realm", "status")["rotated"] + 30 * 86400)
        self.assertIn("New keys in use in", self.ok("realm", "rotate"))

    def test_8_the_end_of_the_realm(self):
        folder = os.path.join(self.d.state, "realm")
        self.assertIn("--yes", self.refused(USAGE, "realm", "remove", REALM))
        self.assertIn(REALM, self.refused(NOT_FOUND, "realm", "remove", "OTHER.LAN", "--yes", "--force"))
        self.ok("share", "create", "docs", self.path("docs"), "--sec", "sys,krb5i")
        self.assertIn("docs", self.refused(CONFLICT, "realm", "remove", REALM, "--yes"))
        self.assert_ticket("ada", SECRET)
        self.assertTrue(os.path.exists(os.path.join(folder, "service.keytab")))
        self.assertEqual(self.ok("realm", "remove", REALM, "--yes", "--force"), "The realm HOME.LAN is removed.\n")
        self.assertFalse(os.path.exists(folder))
        self.assertEqual([n for n in os.listdir(self.d.state) if n.startswith("realm") and n != "realm.lock"], [])
        self.refused(NOT_FOUND, "realm", "status")
        self.refused(NOT_FOUND, "realm", "remove", REALM, "--yes")
        self.assertIn("verb=realm.remove object=HOME.LAN", self.d.log())
        # The ports are free again, and a realm of the same name knows nobody of the old one.
        done = self.make("--user", "eve", "--password-stdin", stdin=SECOND + "\n")
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assert_ticket("eve", SECOND)
        self.assertNotEqual(self.kinit("ada", SECRET).returncode, 0)
        self.ok("share", "remove", "docs")
        self.ok("realm", "remove", REALM, "--yes")

    def test_9_no_password_anywhere_in_the_log(self):
        log = self.d.log()
        self.assertIn("verb=realm.user.add object=dee", log)
        for password in self.passwords:
            self.assertNotIn(password, log)
            self.assertNotIn(password.split('"')[0], log)
        calls = [li for li in log.splitlines() if "event=control" in li and "verb=realm.user." in li]
        self.assertGreater(len(calls), 5)
        for line in calls:
            self.assertNotIn("password=", line)


if __name__ == "__main__":
    if not all(shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin") for p in ("krb5kdc", "kadmind", "kinit")):
        print("MIT krb5's programs are missing")
        raise SystemExit(77)
    unittest.main(verbosity=2)
