# SPDX-License-Identifier: LGPL-2.1-or-later
"""A template of dbusmock's: a polkit that says yes at once, or to a person who gives a password (always the right one),
or no. Its own says only yes and no."""
import dbus
from dbusmock import MOCK_IFACE

BUS_NAME = "org.freedesktop.PolicyKit1"
MAIN_OBJ = "/org/freedesktop/PolicyKit1/Authority"
MAIN_IFACE = "org.freedesktop.PolicyKit1.Authority"
SYSTEM_BUS = True
MAY_ASK = 1


def load(mock, _parameters):
    mock.allowed, mock.with_password = [], []


@dbus.service.method(MAIN_IFACE, in_signature="(sa{sv})sa{ss}us", out_signature="(bba{ss})")
def CheckAuthorization(self, _subject, action, _details, flags, _cancellation):
    asks = action in self.with_password and action not in self.allowed
    return (action in self.allowed or bool(asks and flags & MAY_ASK), bool(asks and not flags & MAY_ASK),
            dbus.Dictionary({}, signature="ss"))


@dbus.service.method(MOCK_IFACE, in_signature="as", out_signature="")
def SetAllowed(self, actions):
    self.allowed, self.with_password = actions, []


@dbus.service.method(MOCK_IFACE, in_signature="as", out_signature="")
def SetWithPassword(self, actions):
    self.allowed, self.with_password = [], actions
