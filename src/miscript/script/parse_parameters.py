"""Global parameters: the part of the parser for `name = value` outside of routes.

Any name is accepted, and any kind of value for it; the checker knows which name takes what.  Four kinds of value
have a syntax of their own: sockets, aliases, blacklists and auto-scaling profiles.

Source: OpenSIPS manual, "Core Parameters".
"""

from __future__ import annotations

from .nodes import GlobalParameter
from .parse_statements import StatementParser
from .source import Span
from .tokens import MODULE_WORDS, Kind, Token

PROTOCOLS = tuple("udp tcp tls sctp ws wss ipsec bin bins hep_udp hep_tcp hep_tls smpp msrp msrps any".split())
"""What a socket can begin with."""

_OPTIONS = {
    "anycast": None,
    "frag": None,
    "reuse_port": None,
    "accept_subdomain": None,
    "allow_proxy_protocol": None,
    "send_proxy_protocol": None,
    "proxy_protocol": None,
    "use_workers": "number",
    "tos": "value",
    "as": "host",
    "tag": "word",
    "use_auto_scaling_profile": "word",
}
"""What may stand behind the value of a parameter, and what each of them takes."""

_BLACKLIST_FLAGS = ("readonly", "expire", "default")
_SCALING_STEPS = (("to", False), ("on", True), ("for", False), ("within", False))
_HOST_SYMBOLS = (".", "-", "*")

_Option = tuple[str, str | int | None]


class ParameterParser(StatementParser):
    """Reads global parameters out of the tokens."""

    def parameter(self) -> list[GlobalParameter]:
        """`name = value` with its options; an alias line may hold several."""
        name = self.advance()
        self.expect("=", f"behind '{name.text}'")
        match name.text:
            case "alias":
                return self.aliases(name)
            case "dst_blacklist":
                return [self.blacklist(name)]
            case "auto_scaling_profile":
                return [self.scaling_profile(name)]
            case "mem-group":
                return [self.memory_group(name)]
        value, span, quoted = self.value(name)
        return [self.finish(name, value, span, self.options(), quoted)]

    def finish(
        self, name: Token, value: int | str, span: Span, options: list[_Option], quoted: bool = False
    ) -> GlobalParameter:
        return GlobalParameter(
            span=self.since(name.span),
            name=name.text,
            value=value,
            value_span=span,
            options=tuple(options),
            quoted=quoted,
        )

    # -- values ---------------------------------------------------------------------------------------------

    def value(self, name: Token) -> tuple[int | str, Span, bool]:
        """A number, a text, a word, an address or a socket; with its place and whether it stood in quotes."""
        token = self.current
        match token.kind:
            case Kind.NUMBER if not self.peek().follows(token) or self.peek().text != ".":
                return self.number().value, token.span, False
            case Kind.SYMBOL if token.text in ("-", "+"):
                number = self.signed_number()
                return number.value, number.span, False
            case Kind.STRING:
                string = self.string(self.advance())
                self.refuse_second_string()
                return string.value, token.span, True
            case Kind.SYMBOL if token.text in ("/", "."):
                help = "write the path in quotes"
                raise self.unexpected(f"a value for '{name.text}'", help=help, code="E218")
            case Kind.WORD | Kind.NUMBER | Kind.NETWORK | Kind.SYMBOL if self.at_host() and not self.at_next():
                text = self.socket() if self.at_socket() else self.host("a value")
                if text.replace(".", "").isdigit() and token.kind is Kind.NUMBER:
                    help = "numbers are whole; write a text in quotes"
                    raise self.mistake("E103", f"'{text}' is not a number", self.since(token.span), help=help)
                if self.current.text == ":":
                    help = f"a socket begins with its protocol: udp:{text}:5060"
                    raise self.unexpected(f"an option or another parameter behind '{text}'", help=help, code="E218")
                return text, self.since(token.span), False
        raise self.unexpected(f"a value for '{name.text}'", code="E218")

    def at_next(self) -> bool:
        """Whether the next parameter or block begins, so that this one has no value or no more of it."""
        token = self.current
        if token.kind is Kind.END or self.at_item() or self.peek().text == "=":
            return True
        return token.text in MODULE_WORDS

    def at_host(self) -> bool:
        token = self.current
        return token.kind in (Kind.WORD, Kind.NUMBER, Kind.NETWORK) or token.text in ("*", "[")

    def at_socket(self) -> bool:
        """Whether a protocol and a ':' stand here."""
        return self.current.kind is Kind.WORD and self.peek().text == ":"

    def host(self, what: str) -> str:
        """A name or address, as one text: `my-host.example.com`, `10.0.0.1`, `[::1]`, `"name"`, `*`."""
        token = self.current
        if token.kind is Kind.STRING:
            return str(self.advance().value)
        if token.text == "[" and self.peek().kind is Kind.NETWORK:
            self.open_bracket("[", "")
            address = self.advance().text
            self.close_bracket("]")
            return f"[{address}]"
        if not self.at_host() or token.text == "[":
            raise self.unexpected(what, code="E218")
        text = self.advance().text
        while self.current.follows(self.previous) and (
            self.current.kind in (Kind.WORD, Kind.NUMBER, Kind.MALFORMED) or self.current.text in _HOST_SYMBOLS
        ):
            text += self.advance().text
        return text

    def socket(self) -> str:
        """`protocol:host[:port[-port]]` as one text."""
        token = self.advance()
        protocol = token.text
        if protocol.lower() not in PROTOCOLS:
            help = f"protocols are {', '.join(PROTOCOLS)}"
            self.report("E218", f"there is no protocol '{protocol}'", token.span, help=help)
        self.expect(":", "behind the protocol")
        return f"{protocol}:{self.host('an address or the name of a host or interface')}{self.port()}"

    def port(self) -> str:
        """`:port`, `:first-last`, `:*` or nothing."""
        if self.current.text != ":":
            return ""
        self.advance()
        if self.next_if("*"):
            return ":*"
        first = str(self.port_number())
        if self.current.text != "-":
            return f":{first}"
        self.advance()
        return f":{first}-{self.port_number()}"

    def port_number(self) -> int:
        token = self.current
        if token.kind is not Kind.NUMBER:
            raise self.unexpected("a port", help="a port is a number from 1 to 65535", code="E218")
        port = self.number()
        if not 0 <= port.value <= 0xFFFF:
            help = "a port is a number from 1 to 65535"
            self.report("E218", f"the port '{token.text}' is too large", token.span, help=help)
        return port.value

    def options(self) -> list[_Option]:
        """What stands behind a value, up to the next parameter."""
        options: list[_Option] = []
        while self.current.kind is Kind.WORD and not self.at_next():
            token = self.current
            word = token.text if token.text in _OPTIONS else token.text.lower()
            if word not in _OPTIONS:
                help = "options are " + ", ".join(sorted(_OPTIONS))
                raise self.unexpected("an option or another parameter", help=help, code="E218")
            self.advance()
            options.append((word, self.option_value(word)))
        return options

    def option_value(self, option: str) -> str | int | None:
        token = self.current
        match _OPTIONS[option]:
            case None:
                return None
            case "number" if token.kind is Kind.NUMBER:
                return self.number().value
            case "value" if token.kind is Kind.NUMBER:
                return self.number().value
            case "word" | "value" if token.kind is Kind.WORD:
                return self.advance().text
            case "host":
                return self.host(f"an address behind '{option}'") + self.port()
        raise self.unexpected(f"a value for '{option}'", code="E218")

    # -- parameters with a syntax of their own --------------------------------------------------------------

    def aliases(self, name: Token) -> list[GlobalParameter]:
        """`alias = [protocol:]host[:port] [accept_subdomain] …`."""
        found: list[GlobalParameter] = []
        while not found or ((self.at_host() or self.current.kind is Kind.STRING) and not self.at_next()):
            token = self.current
            if token.kind is not Kind.STRING and (not self.at_host() or self.at_next()):
                raise self.unexpected("the name of a host for 'alias'", code="E218")
            text = self.socket() if self.at_socket() else self.host("the name of a host")
            span = self.since(token.span)
            options: list[_Option] = [("accept_subdomain", None)] if self.next_if("accept_subdomain") else []
            found.append(self.finish(name, text, span, options, token.kind is Kind.STRING))
        return found

    def blacklist(self, name: Token) -> GlobalParameter:
        """`name[/flag,…] : { (protocol, network, port[, "pattern"]), … }`; each rule is an option."""
        title = self.expect_kind(Kind.WORD, "the name of the blacklist")
        options: list[_Option] = []
        if self.next_if("/"):
            options.append((self.blacklist_flag(), None))
            while self.next_if(","):
                options.append((self.blacklist_flag(), None))
        if self.next_if(":"):
            self.open_bracket("{", "before the rules of the blacklist")
            while self.current.text != "}":
                options.append(("rule", self.blacklist_rule()))
                if not self.next_if(","):
                    break
            self.close_bracket("}")
        return self.finish(name, title.text, title.span, options)

    def blacklist_flag(self) -> str:
        if self.current.text in _BLACKLIST_FLAGS:
            return self.advance().text
        raise self.unexpected("a flag of the blacklist: " + ", ".join(_BLACKLIST_FLAGS), code="E218")

    def blacklist_rule(self) -> str:
        """One rule as a text without blanks, `!` in front when it is turned round."""
        negation = "!" if self.next_if("!") else ""
        self.open_bracket("(", "before a rule of the blacklist")
        parts = [self.expect_kind(Kind.WORD, "a protocol or 'any'").text]
        self.expect(",", "behind the protocol of a rule")
        if self.current.kind is Kind.NETWORK:
            parts.append(self.advance().text)
        else:
            parts.append(self.host("an address or network"))
        self.expect(",", "behind the address of a rule")
        parts.append(str(self.port_number()))
        if self.next_if(","):
            parts.append(self.expect_kind(Kind.STRING, "a pattern in quotes").text)
        self.close_bracket(")")
        return f"{negation}({','.join(parts)})"

    def scaling_profile(self, name: Token) -> GlobalParameter:
        """`NAME scale up to N on P% for C cycles [within T] [scale down to …]`, with or without braces."""
        title = self.expect_kind(Kind.WORD, "the name of the profile")
        braces = self.current.text == "{"
        if braces:
            self.open_bracket("{", "")
        options = self.scaling_step("up")
        if self.current.text == "scale":
            options += self.scaling_step("down")
        if braces:
            self.close_bracket("}")
        return self.finish(name, title.text, title.span, options)

    def scaling_step(self, direction: str) -> list[_Option]:
        self.expect("scale", "in an auto-scaling profile")
        self.expect(direction, "behind 'scale'")
        options: list[_Option] = []
        for word, percent in _SCALING_STEPS:
            if word == "within" and self.current.text != "within":
                break
            self.expect(word, f"in the step 'scale {direction}' of an auto-scaling profile")
            if self.current.kind is not Kind.NUMBER:
                raise self.unexpected(f"a number behind '{word}'", code="E218")
            options.append((f"{direction} {word}", self.number().value))
            if percent:
                self.expect("%", "behind the load")
            if word == "for":
                self.expect("cycles", "behind the number of cycles")
        return options

    def memory_group(self, name: Token) -> GlobalParameter:
        """`mem-group = "name": "module" …`."""
        title = self.string(self.expect_kind(Kind.STRING, "the name of the group in quotes"))
        self.expect(":", "behind the name of the group")
        options: list[_Option] = []
        while not options or self.current.kind is Kind.STRING:
            options.append(("module", str(self.expect_kind(Kind.STRING, "a module in quotes").value)))
        return self.finish(name, title.value, title.span, options, quoted=True)
