# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds answers of REST against the description that the server gives of itself (OpenAPI 3.1), strictly: a status that is
described, a body of the described type, no member missing that must be there, and none that is not described. The judge is
jsonschema."""
import copy
import json
import re

try:
    import jsonschema
except ImportError:
    jsonschema = None  # package python3-jsonschema

BASE = "/api/v1"
BESIDE = ("/openapi.json", "/verbs")  # not resources: the description itself, and every verb by its name


class Description:
    def __init__(self, api):
        self.api = copy.deepcopy(api)
        assert api["openapi"].startswith("3.1.") and api["info"]["title"] and api["servers"] == [{"url": BASE}], api["info"]
        for name, schema in self.api["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema.get("additionalProperties") is False or name in ("ProtocolDetails", "Session"), name
            assert set(schema["required"]) <= set(schema["properties"]), name
            schema["additionalProperties"] = False  # what our own modules say is described
        for place in re.findall(r'"\$ref": "([^"]+)"', json.dumps(api)):
            assert self.at(place) is not None, place
        self.filled = set()  # things that an answer really had

    def at(self, place):
        found = self.api
        for part in place.removeprefix("#/").split("/"):
            found = found[part]
        return found

    def route(self, path):
        """The path of the description that an address is about; None: it is about none."""
        fits = [p for p in self.api["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", p), path)]
        return min(fits, key=lambda p: p.count("{"), default=None)

    def judge(self, schema, value, where):
        root = dict(schema, components=self.api["components"])
        problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in jsonschema.Draft202012Validator(root).iter_errors(value)]
        assert not problems, (where, problems, value)

    def note(self, schema, value):
        """Which things stand in an answer."""
        for part in schema.get("allOf", []):
            self.note(part, value)
        if "$ref" in schema:
            self.filled.add(schema["$ref"].rsplit("/", 1)[1])
            self.note(self.at(schema["$ref"]), value)
        if isinstance(value, list):
            for one in value:
                self.note(schema.get("items", {}), one)
        if isinstance(value, dict):
            for name, one in value.items():
                self.note(schema.get("properties", {}).get(name, {}), one)

    def check(self, method, address, status, kind, text):
        """`address` is below the base, with its query; what the description does not name is refused by the server, too."""
        path = self.route(address.partition("?")[0])
        method = method.lower()
        if path is None or method not in self.api["paths"][path]:
            assert status >= 400 or address.startswith(BESIDE), (method, address, status)
            return
        where = (method, path, status)
        responses = self.api["paths"][path][method]["responses"]
        if status == 304:  # of any GET, by the tag that the client sent
            return
        assert str(status) in responses or status >= 400, (where, text)
        answer = responses.get(str(status), responses["default"])
        if status >= 400 and kind.startswith("application/problem+json"):
            answer = responses["default"]
        answer = self.at(answer["$ref"]) if "$ref" in answer else answer
        if "content" not in answer:
            assert not text, (where, text)
            return
        kind = kind.partition(";")[0]
        assert kind in answer["content"], (where, kind, text)
        if not kind.endswith("json"):
            return
        schema, value = answer["content"][kind]["schema"], json.loads(text)
        self.judge(schema, value, where)
        self.note(schema, value)

    def all_told(self, but=()):
        """Each thing that is described stood in an answer."""
        things = set(self.api["components"]["schemas"]) - self.filled
        assert things == set(but), things ^ set(but)
