# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: what the matrix cannot show, because the server or a second client does something meanwhile.

Each module has NAME, and run(kind, report, keep): start a lab with a server of that kind, do it, report.
keep is a folder to work in and leave, or None.
"""
