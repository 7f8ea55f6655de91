"""Chat templates: conversations to the text that a model was trained on.

template = ChatTemplate.from_gguf(file, tokenizer)
text = template.render([{"role": "user", "content": "Hello"}])
ids = tokenizer.encode(text, parse_special=True)
"""

from pyllama.templates.capabilities import Capabilities
from pyllama.templates.choosing import parse_variables, template_names
from pyllama.templates.limits import Limits
from pyllama.templates.messages import Message
from pyllama.templates.named import NAMED
from pyllama.templates.template import ChatTemplate

__all__ = [
    "NAMED",
    "Capabilities",
    "ChatTemplate",
    "Limits",
    "Message",
    "parse_variables",
    "template_names",
]
