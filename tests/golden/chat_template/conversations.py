"""The requests that every template of this folder is rendered with: a name, and its variables."""

import copy
import json

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a place.\n"
        "Second line with \"quotes\" and <angle> & 'apostrophes'.",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City, e.g. Zürich or 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 18446744073709551615},
                "detail": {"type": ["string", "null"], "description": "how much"},
            },
            "required": ["location"],
        },
        "return": {"type": "number", "description": "degrees"},
    },
}
NO_ARGUMENTS = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The current time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
NESTED = {
    "type": "function",
    "function": {
        "name": "plan",
        "description": "Plan a trip.",
        "parameters": {
            "type": "object",
            "properties": {
                "stops": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "city": {"type": "string"},
                            "nights": {"type": "number", "default": 1.5},
                        },
                    },
                    "description": "in order",
                },
                "strict": {"type": "boolean", "default": False},
                "budget": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            },
            "required": ["stops", "strict"],
        },
    },
}

SYSTEM = {"role": "system", "content": "You are a terse assistant.\nAnswer in one line."}
HELLO = {"role": "user", "content": "Hello, who are you?"}
REPLY = {"role": "assistant", "content": "I am a model."}
AGAIN = {"role": "user", "content": "And what is 2 + 2?"}


def call(arguments, **more):
    return {"type": "function", "function": {"name": "get_weather", "arguments": arguments}, **more}


def tool_turns(arguments, id="call00001", content=None, **more):
    return [
        HELLO,
        {"role": "assistant", "content": content, "tool_calls": [call(arguments, id=id)], **more},
        {
            "role": "tool",
            "name": "get_weather",
            "tool_call_id": id,
            "content": '{"temperature": 21.5}',
        },
        {"role": "assistant", "content": "It is 21.5 degrees."},
        AGAIN,
    ]


ARGUMENTS = {
    "location": "Zürich",
    "unit": "celsius",
    "days": 3,
    "detail": None,
    "exact": True,
    "scale": 1.0,
}
THOUGHT = "<think>\nFour, surely.\n</think>\n\nIt is 4."


def base_chats():
    return {
        "user": [HELLO],
        "system": [SYSTEM, HELLO],
        "multi": [HELLO, REPLY, AGAIN],
        "system_multi": [SYSTEM, HELLO, REPLY, AGAIN],
        "ends_with_assistant": [SYSTEM, HELLO, REPLY],
        "unicode": [{"role": "user", "content": "Grüße, 世界 🌍! \u00a0naïve\u2028line ﬁn"}],
        "quotes": [
            {
                "role": "user",
                "content": 'It\'s "quoted" \\ back\tslash\n\nnew\r\nlines {{ x }} {% y %}',
            }
        ],
        "spaces": [
            {"role": "system", "content": "  padded \n"},
            {"role": "user", "content": " \n padded\t "},
        ],
        "empty_content": [
            {"role": "user", "content": ""},
            {"role": "assistant", "content": ""},
            AGAIN,
        ],
        "no_messages": [],
        "system_only": [SYSTEM],
        "two_users": [HELLO, AGAIN],
        "starts_with_assistant": [REPLY, HELLO],
        "unknown_role": [HELLO, {"role": "narrator", "content": "Meanwhile."}],
        "missing_content": [HELLO, {"role": "assistant"}, AGAIN],
        "missing_role": [{"content": "nobody says this"}],
        "null_content": [HELLO, {"role": "assistant", "content": None}, AGAIN],
        "number_content": [{"role": "user", "content": 42}],
        "parts": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "first "}, {"type": "text", "text": "second"}],
            }
        ],
        "parts_image": [
            SYSTEM,
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}],
            },
        ],
        "parts_system": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            HELLO,
        ],
        "developer": [{"role": "developer", "content": "Prefer metric units."}, HELLO],
        "late_system": [HELLO, REPLY, SYSTEM, AGAIN],
        "thinking": [HELLO, {"role": "assistant", "content": THOUGHT}, AGAIN],
        "thinking_last": [AGAIN, {"role": "assistant", "content": THOUGHT}],
        "reasoning_content": [
            HELLO,
            {"role": "assistant", "reasoning_content": "Who am I?", "content": "A model."},
            AGAIN,
        ],
        "tool_calls_dict": tool_turns(ARGUMENTS),
        "tool_calls_text": tool_turns(json.dumps(ARGUMENTS, ensure_ascii=False)),
        "tool_calls_content": tool_turns(
            {"location": "Rome"}, content="Let me look.", reasoning_content="Weather?"
        ),
        "tool_calls_no_content": [
            HELLO,
            {"role": "assistant", "tool_calls": [call({"location": "Bern"}, id="abcdefghi")]},
            {"role": "tool", "tool_call_id": "abcdefghi", "content": "cold"},
        ],
        "tool_calls_bare": [
            HELLO,
            {"role": "assistant", "content": "", "tool_calls": [{"name": "now", "arguments": {}}]},
            {"role": "tool", "content": "noon"},
        ],
        "tool_calls_two": [
            SYSTEM,
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    call({"location": "A"}, id="aaaaaaaaa"),
                    call({"location": "B"}, id="bbbbbbbbb"),
                ],
            },
            {"role": "tool", "tool_call_id": "aaaaaaaaa", "name": "get_weather", "content": "1"},
            {
                "role": "tool",
                "tool_call_id": "bbbbbbbbb",
                "name": "get_weather",
                "content": {"deep": [1, 2.0, None, True]},
            },
            AGAIN,
        ],
        "ipython": [
            HELLO,
            {"role": "assistant", "content": "running"},
            {"role": "ipython", "content": '{"out": 1}'},
        ],
    }


def variables(messages, **more):
    held = {
        "messages": messages,
        "tools": None,
        "documents": None,
        "add_generation_prompt": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "date_string": "26 Jul 2024",
    }
    held.update(more)
    return held


def conversations():
    chats = base_chats()
    made = {}
    for name, messages in chats.items():
        made[name] = variables(messages)
        made[name + "+gen"] = variables(messages, add_generation_prompt=True)
    tools = {"tools": [WEATHER], "tools_many": [WEATHER, NO_ARGUMENTS, NESTED], "tools_empty": []}
    for label, held in tools.items():
        for name in (
            "user",
            "system_multi",
            "tool_calls_dict",
            "tool_calls_text",
            "tool_calls_two",
        ):
            made[f"{name}+{label}"] = variables(chats[name], tools=held, add_generation_prompt=True)
    for thinking in (True, False):
        for name in ("system", "thinking", "thinking_last", "tool_calls_content"):
            made[f"{name}+thinking={thinking}"] = variables(
                chats[name], enable_thinking=thinking, thinking=thinking, add_generation_prompt=True
            )
    documents = [
        {"title": "Swiss rain", "text": "It rains."},
        {"title": 'Ünïcode "q"', "text": "line\nline"},
    ]
    made["documents"] = variables(
        chats["system_multi"], documents=documents, add_generation_prompt=True
    )
    made["custom_tools"] = variables(
        chats["system"],
        custom_tools=[WEATHER],
        tools_in_user_message=False,
        builtin_tools=["code_interpreter"],
        add_generation_prompt=True,
    )
    made["system_no_think"] = variables(
        [{"role": "system", "content": "Short. /no_think"}, HELLO], add_generation_prompt=True
    )
    made["xml_tools"] = variables(
        chats["user"], xml_tools=[WEATHER], python_tools=[NESTED], add_generation_prompt=True
    )
    bare = copy.deepcopy(variables(chats["system_multi"]))
    for name in (
        "bos_token",
        "eos_token",
        "date_string",
        "tools",
        "documents",
        "add_generation_prompt",
    ):
        del bare[name]
    made["bare"] = bare
    return made
