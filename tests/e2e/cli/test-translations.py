#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every language of po/LINGUAS is complete: each text of the sources in POTFILES has a translation that is not fuzzy and
passes msgfmt's checks; and laresctl speaks it. Arguments: the source folder, the build folder, laresctl."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD, LARESCTL = sys.argv[1:4]
KEYWORDS = ["--keyword=_", "--keyword=N_", "--keyword=C_:1c,2", "--keyword=ngettext:1,2"]


def words(path):
    with open(path) as f:
        return [li.strip() for li in f if li.strip() and not li.startswith("#")]


def run(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, timeout=60, **more)


class Translations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="translations-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.files = words(os.path.join(SOURCE, "po", "POTFILES"))
        cls.languages = words(os.path.join(SOURCE, "po", "LINGUAS"))
        cls.pot = os.path.join(cls.dir, "lares.pot")
        done = run("xgettext", "--from-code=UTF-8", "--add-comments", *KEYWORDS, "-o", cls.pot, *cls.files, cwd=SOURCE)
        assert done.returncode == 0, done.stderr

    def incomplete(self, po):
        """What msgfmt says of a language after the texts of today were merged in; "" when it is complete."""
        merged = os.path.join(self.dir, "merged.po")
        done = run("msgmerge", "--quiet", "--no-fuzzy-matching", "-o", merged, po, self.pot)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("msgfmt", "--check", "--statistics", "-o", os.devnull, merged, env=dict(os.environ, LC_ALL="C"))
        whole = done.returncode == 0 and re.fullmatch(r"\d+ translated messages\.", done.stderr.strip())
        return "" if whole else done.stderr

    def test_languages_are_complete(self):
        self.assertEqual(sorted(self.languages), ["de", "it"])
        for language in self.languages:
            with self.subTest(language):
                self.assertEqual(self.incomplete(os.path.join(SOURCE, "po", language + ".po")), "")

    def test_an_incomplete_language_is_noticed(self):
        with open(os.path.join(SOURCE, "po", "de.po"), encoding="utf-8") as f:
            text = f.read()
        at = text.index('msgid "NAME"')
        broken = os.path.join(self.dir, "broken.po")
        with open(broken, "w", encoding="utf-8") as f:
            f.write(text[:at] + re.sub(r'msgstr "[^"]*"', 'msgstr ""', text[at:], count=1))
        self.assertIn("untranslated", self.incomplete(broken))

    def test_every_source_with_texts_is_listed(self):
        for base in ("cli", "core", "modules"):
            for folder, _, names in os.walk(os.path.join(SOURCE, base)):
                for name in names:
                    path = os.path.join(folder, name)
                    if not name.endswith(".c"):
                        continue
                    with open(path, encoding="utf-8") as f:
                        if "<glib/gi18n" in f.read():
                            self.assertIn(os.path.relpath(path, SOURCE), self.files)

    def test_laresctl_speaks_them(self):
        for language, usage in (("de", "Aufruf: laresctl"), ("it", "Uso: laresctl")):
            env = dict(os.environ, LC_ALL="C.UTF-8", LANGUAGE=language, LARES_LOCALE_DIR=os.path.join(BUILD, "po"))
            done = run(LARESCTL, "share", "--help", env=env)
            self.assertTrue(done.stdout.startswith(usage), done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
