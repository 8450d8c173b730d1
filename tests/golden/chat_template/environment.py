"""The jinja2 environment of chat templates, as transformers 4.57 makes it."""

import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2.ext import Extension


class Generation(Extension):
    """{% generation %}: its body, as transformers renders it when it tracks nothing."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _body(self, context, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime.now().strftime(format)
    return environment


def render(environment, source, variables):
    """{"expect": text}, or {"error": why} when jinja2 refuses to compile or to render."""
    try:
        text = environment.from_string(source).render(**variables)
        text.encode("utf-8")
        return {"expect": text}
    except Exception as error:  # noqa: BLE001 - any failure counts: we must fail too
        return {"error": f"{type(error).__name__}: {error}"}
