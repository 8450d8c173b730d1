"""Small templates of statements and whitespace; each is rendered with expressions.VARIABLES."""

STATEMENTS = [
    # Whitespace: trim_blocks, lstrip_blocks, signs, comments, raw.
    "a\n  {% if yes %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if yes -%}\n  b\n  {%- endif -%}\nc\n\n",
    "a\n  {%+ if yes +%}\n  b\n  {%+ endif +%}\nc",
    "a {{- s -}} b {{ s }} c\n",
    "  {{ s }}\n  {{- s }}\n  {{ s -}}\n  end",
    "x\n   {# comment #}\ny {# c #}\n\nz{#- a -#}\n  w\n\t{#+ b +#}\nv",
    "{# {{ not run }} {% nor this #}ok",
    "{##}{#-#}{#--#}{#- -#}",
    "{% raw %}\n {{ x }} {% if %}{% endraw %}\n!",
    "a\n  {%- raw -%}\n {{ x }}\n {%- endraw -%}\n b",
    "  {% raw %}  {{ x }}  {% endraw %}  b",
    "{%raw%}{{{%endraw%}{{ 1 }}",
    "a\r\nb\rc\n\r\n",
    "line\n\n",
    "\n\n{% set x = 1 %}\n\n{{ x }}\n",
    "\u00a0 {%- if yes %}x{% endif -%} \u2003 y",
    " \t{% if yes %} \t\n{% endif %}\t x",
    "{% if yes %}a{% endif %}   {% if yes %}\nb{% endif %}",
    "{{ '{{' }}{{ '}}' }}{{ '{%' ~ '%}' }}",
    "{{{'a': 1}}}|{{ {'a': {'b': 2}} }}|{{ {'a': {'b': 2}}['a']['b'] }}",
    "{{-1}} {{- 1 -}} {{1-}} {{+1}}",
    "{ {%% } }",
    "{% if yes -%}\n\n   x\n   {%- else %} y {% endif %}",
    "{{ 1\n}}\n{{\n2 }}{%\nif yes\n%}\nz{%\nendif\n%}",
    # if
    "{% if no %}a{% elif z %}b{% elif yes %}c{% else %}d{% endif %}",
    "{% if missing %}a{% elif missing.x is defined %}b{% endif %}",
    "{% if no %}a{% else %}b{% endif %}{% if l and d and s %}c{% endif %}",
    "{% if yes: %}colon{% endif %}",
    "{% if yes, no %}tuple{% endif %}",
    # for
    "{% for x in l %}{{ x }},{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}empty{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}empty{% endfor %}",
    "{% for k in d %}{{ k }}={{ d[k] }};{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in {'a': 1}|items %}{{ k }}{{ v }}{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}:{{ v }} {% endfor %}",
    "{% for c in 'añb' %}[{{ c }}]{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, in [(1,)] %}{{ a }}{% endfor %}",
    "{% for a, b in [[1, 2], 'xy', (3, 4)] %}{{ a }}-{{ b }} {% endfor %}",
    "{% for a, b in [[1]] %}{{ a }}{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
    "{% for a, b in [5] %}{{ a }}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for x in none %}{% endfor %}",
    (
        "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{"
        " loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {%"
        " endfor %}"
    ),
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
    "{% for x in l %}{{ loop }}{{ loop|length }}{% endfor %}",
    (
        "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {%"
        " endfor %}"
    ),
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for u in users if u.active %}{{ u.name }}{% endfor %}",
    (
        "{% for x in l %}{% for y in m %}{{ loop.index }}{{ y }}{% endfor %}{{ loop.index }} {%"
        " endfor %}"
    ),
    "{% for x in l %}{% if loop.first %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in l %}{% if x == 2 %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 0 %}{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% set a = 0 %}{% for x in l %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }}",
    "{% for x in l %}{{ a }}{% set a = x %}{{ a }} {% endfor %}{{ a is defined }}",
    "{% for x in l %}{% if loop.index == 2 %}{% set q = x %}{% endif %}{{ q }}{% endfor %}",
    (
        "{% set ns = namespace(a=0, seen=[]) %}{% for x in l %}{% set ns.a = ns.a + x %}"
        "{% set ns.seen = ns.seen + [x] %}{% endfor %}{{ ns.a }}{{ ns.seen }}"
    ),
    (
        "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y }}{{ ns.y is defined }}{{"
        " ns['x'] }}"
    ),
    (
        "{% set ns = namespace(i=0) %}{% for x in l if ns.i < 2 %}{% set ns.i = ns.i + 1 %}{{ x"
        " }}{% endfor %}"
    ),
    "{% for x in range(3) %}{{ x }}{% endfor %}{% for x in range(4, 0, -2) %}{{ x }}{% endfor %}",
    "{% for x in l|reverse %}{{ x }}{% endfor %}{% for x in l[::-1] %}{{ x }}{% endfor %}",
    (
        "{% set g = l|map('string') %}{% for x in g %}{{ x }}{% endfor %}{% for x in g %}{{ x }}{%"
        " endfor %}"
    ),
    "{% set g = l|map('string') %}{{ g|first }}{{ g|list }}{{ g|list }}",
    "{% for x in 1, 2 %}{{ x }}{% endfor %}{% for x in (1, 2), (3, 4) %}{{ x }}{% endfor %}",
    "{% for x in l if yes else m %}{{ x }}{% endfor %}",
    "{% for x in (l if yes else m) %}{{ x }}{% endfor %}",
    "{% for x.y in l %}{% endfor %}",
    "{% break %}",
    "{% if yes %}{% continue %}{% endif %}",
    "{% for x in l %}{% macro q() %}{% break %}{% endmacro %}{% endfor %}",
    # set
    "{% set x = 5 %}{{ x }}{% set x = x + 1 %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}",
    "{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ b }}{{ c }}",
    "{% set t = 1, 2 %}{{ t }}{% set t = (1,) %}{{ t }}{% set t = () %}{{ t }}",
    "{% set a, b = [1] %}",
    "{% set x %}body {{ s }}{% endset %}[{{ x }}]{{ x is string }}",
    "{% set x | upper | replace('O', '0') %}{{ s }}{% endset %}{{ x }}",
    "{% set ns = namespace() %}{% set ns.t %}block{% endset %}{{ ns.t }}",
    "{% set x = 1 %}{% set y %}{% set x = 2 %}{{ x }}{% endset %}{{ x }}{{ y }}",
    "{% if yes %}{% set x = 1 %}{% endif %}{{ x }}{% if no %}{% set w = 2 %}{% endif %}{{ w }}",
    "{% set s = s|upper %}{{ s }}{% if yes %}{% set s = 'inner' %}{% endif %}{{ s }}",
    "{% set x = 1 if yes %}{{ x }}{% set y = 1 if no %}{{ y }}",
    "{% set d.x = 1 %}",
    "{% set missing.x = 1 %}",
    "{% set true = 1 %}",
    "{% set 5 = 1 %}",
    "{% set x = %}",
    "{% set x %}",
    "{% set range = 5 %}{{ range }}",
    "{% set x = namespace(n=1) %}{% set y = x %}{% set y.n = 2 %}{{ x.n }}",
    # with, filter, call, print
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% filter upper %}a{{ s }}{% endfilter %}",
    "{% filter replace('l', 'L') | trim %}  {{ s }}  {% endfilter %}",
    "{% filter nofilter %}x{% endfilter %}",
    "{% print s, 1, [2] %}",
    "{% generation %}a{{ s }}{% set q = 1 %}{% endgeneration %}{{ q }}",
    "{%- generation -%}\n x \n{%- endgeneration -%}\n y",
    "a\n  {% generation %}\n  b\n  {% endgeneration %}\nc",
    # macro
    (
        "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(b=5, a=4)"
        " }}|{{ m() }}"
    ),
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}",
    "{% macro m(a, b=q) %}{{ b }}{% endmacro %}{% set q = 3 %}{{ m(7) }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}",
    "{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}",
    "{% macro m(a) %}{{ a }}{{ varargs|length }}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro m() %}\n  text\n{% endmacro %}\n[{{ m() }}]\n",
    "{% macro m() -%}\n  text\n{%- endmacro %}[{{ m() }}]",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}{{ m(missing) }}",
    (
        "{% macro m() %}x{% endmacro %}{{ m }}{{ m.name }}{{ m() is string }}{{ m()|upper }}{{ 'a'"
        " + m() }}"
    ),
    "{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}in {{ s }}{% endcall %}",
    (
        "{% macro w(xs) %}{% for x in xs %}{{ caller(x) }}{% endfor %}{% endmacro %}"
        "{% call(v) w(l) %}[{{ v }}]{% endcall %}"
    ),
    "{% macro w() %}{{ caller is defined }}{% endmacro %}{{ w() }}",
    "{% macro w() %}x{% endmacro %}{% call w() %}y{% endcall %}",
    "{% call s %}y{% endcall %}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    (
        "{% set ns = namespace(f=none) %}{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}"
        "{% if loop.first %}{% set ns.f = m %}{% endif %}{% endfor %}{{ ns.f is callable }}"
    ),
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro a(x) %}{{ x.y }}{% endmacro %}{{ a({'y': 1}) }}{{ a(x={'y': 2}) }}",
    "{% macro m(a, b='x', c=[]) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}",
    "{% macro m(a='{') %}{{ a }}{% endmacro %}{{ m() }}",
    # globals
    (
        "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{"
        " c.reset() }}"
    ),
    "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{{ raise_exception('no') }}",
    "{% if yes %}{{ raise_exception('Roles must alternate: ' + s) }}{% endif %}",
    "{% if no %}{{ raise_exception('no') }}{% endif %}fine",
    "{{ strftime_now is defined }}{{ strftime_now('') }}{{ strftime_now('x')|length }}",
    # unknown filters and tests: at compile time, or only when reached
    "{% if no %}{{ s|nofilter }}{% endif %}ok",
    "{% if yes %}{{ s|nofilter }}{% endif %}ok",
    "{% if no %}{% for x in l %}{{ x|nofilter }}{% endfor %}{% endif %}ok",
    "{{ s|nofilter if no else 'ok' }}",
    "{{ 'ok' if yes else s is notest }}",
    "{% for x in [] %}{{ x|nofilter }}{% endfor %}ok",
    "{% set x = s|nofilter %}ok",
    "{% if s is notest %}{% endif %}ok",
    # malformed
    "{% if yes %}",
    "{% for x in l %}",
    "{% endif %}",
    "{% else %}",
    "{% if yes %}{% endfor %}{% endif %}",
    "{% unknown %}",
    "{% %}",
    "{{ }}",
    "{{ s",
    "{% if yes",
    "{# open",
    "{% raw %}open",
    "{{ s }",
    "{{ s %}",
    "{% if yes }}x{% endif %}",
    "{% if %}x{% endif %}",
    "{% for in l %}{% endfor %}",
    "{% for x of l %}{% endfor %}",
    "{% macro %}{% endmacro %}",
    "{% macro m %}{% endmacro %}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{% do l %}",
    "{% elif yes %}",
    "{% if yes %}a{% else %}b{% else %}c{% endif %}",
    "{% if yes %}a{% else %}b{% elif no %}c{% endif %}",
    "{{ ( }}",
    "{{ [1, }}",
    "{{ (1] }}",
    "}}{{ 1 }}%}#}",
    "{{ 1 }} }} %} #} {",
    "",
    "plain",
    "{",
    "{{",
    "{%",
    "{#",
]
