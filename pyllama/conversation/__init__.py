"""Conversations with a model: what was said, how it becomes a prompt, and where it is kept.

chat = Chat(session, template, Conversation())
chat.conversation.ask("Hello")
with chat.answer(chat.prompt(), sampler) as answer:
    for piece in answer:
        print(piece.text, end="")
"""

from pyllama.conversation.channels import Channel, Piece
from pyllama.conversation.chat import Answer, Chat, Prompt, Turn
from pyllama.conversation.conversation import Conversation
from pyllama.conversation.records import Kept, Message, Record, Said, System
from pyllama.conversation.transcripts import Header, Summary, Transcript, Transcripts

__all__ = [
    "Answer",
    "Channel",
    "Chat",
    "Conversation",
    "Header",
    "Kept",
    "Message",
    "Piece",
    "Prompt",
    "Record",
    "Said",
    "Summary",
    "System",
    "Transcript",
    "Transcripts",
    "Turn",
]
