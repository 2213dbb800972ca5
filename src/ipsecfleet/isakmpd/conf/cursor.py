"""Reading tokens one after the other, with one token of foresight.

`now` is the place of the last token that was looked at: what ipsecctl(8) tells with an error.
"""

from typing import NoReturn

from ipsecfleet.isakmpd.conf.lexer import END, NEWLINE, STRING, ConfError, Lexer, Place, Token


class Cursor:
    """The base of a parser."""

    def __init__(self, lexer: Lexer, now: Place) -> None:
        self._lexer = lexer
        self._ahead: Token | None = None
        self.now = now

    def peek(self, *, secret: bool = False) -> Token:
        """The next token, which stays the next; no error shows it if it stands for a secret."""
        if self._ahead is None:
            self._ahead = self._lexer.token(secret=secret)
            self.now = self._ahead.place
        return self._ahead

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self._ahead = None
        return token

    def accept(self, *kinds: str) -> str | None:
        """The kind of the next token if it is one of these, taken then."""
        return self.take().kind if self.peek().kind in kinds else None

    def expect(self, *kinds: str) -> Token:
        """The next token, which must be of one of these kinds."""
        token = self.take()
        if token.kind not in kinds:
            unfinished = token.kind == END and kinds == (NEWLINE,)
            self.fail("syntax error", hint="the last line does not end with a newline" if unfinished else "")
        return token

    def expect_secret(self, *kinds: str) -> Token:
        """The same right after a keyword that is followed by a secret."""
        self.peek(secret=True)
        return self.expect(*kinds)

    def word(self) -> str:
        """The text of the next token, which must be a string."""
        return self.expect(STRING).text

    def word_after(self, keyword: str) -> str | None:
        """The string after that keyword, if the keyword is next."""
        return self.word() if self.accept(keyword) else None

    def fail(self, text: str, *, hint: str = "") -> NoReturn:
        """Refuse what is read, as ipsecctl words it."""
        raise ConfError(self.now, text, hint=hint)
