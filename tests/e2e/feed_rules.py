"""Which trades a message of the venue holds, as include/mdpipe/feed/decoder.hpp says it, read by a second hand."""
import decimal, json


class Bad(ValueError):
    """The message is unusable as a whole."""


class Number(decimal.Decimal):
    """A number as written; `integer`: as JSON writes integers."""


def _number(text, integer):
    number = Number(text)
    number.integer = integer
    if (not integer and abs(float(text)) == float('inf')) or (integer and not -1 << 63 <= int(text) < 1 << 64):
        raise Bad('beyond a double or 64 bits')
    return number


def _constant(text):
    raise Bad(text)


class Members(list):
    """An object: its members, in order."""


def _checked(value):
    """Half a surrogate pair anywhere; a key twice in an object that may be a trade."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Members):
        names = [name for name, _ in value]
        if ('s' in names or 'p' in names) and len(set(names)) != len(names):
            raise Bad('a key twice')
        for name, member in value:
            _checked(name)
            _checked(member)
    elif isinstance(value, list):
        for element in value:
            _checked(element)


_READER = json.JSONDecoder(object_pairs_hook=Members, parse_float=lambda t: _number(t, False), parse_int=lambda t: _number(t, True),
                           parse_constant=_constant)


def _in_range(value):
    return isinstance(value, Number) and (value == 0 or decimal.Decimal('1e-100') <= abs(value) < decimal.Decimal('1e19'))


def _is_trade(element):
    if not isinstance(element, Members):
        return False
    trade = dict(element)
    return (isinstance(trade.get('s'), str) and _in_range(trade.get('p')) and _in_range(trade.get('v'))
            and isinstance(trade.get('t'), Number) and trade['t'].integer and abs(trade['t']) <= 9223372036854)


def _elements(text):
    """The texts of the list behind the last "data" of the message itself: raw_decode tells where each value ends."""
    at, found = text.index('{') + 1, []

    def blanks(i):
        while text[i] in ' \t\r\n':
            i += 1
        return i
    while True:
        name, at = _READER.raw_decode(text, blanks(at))
        at = blanks(blanks(at) + 1)  # over the colon
        if name == 'data' and text[at] == '[':
            found, at = [], blanks(at + 1)
            while text[at] != ']':
                _, end = _READER.raw_decode(text, at)
                found.append(text[at:end])
                at = blanks(end)
                at = blanks(at + 1) if text[at] == ',' else at
            at += 1
        else:
            _, at = _READER.raw_decode(text, at)
        at = blanks(at)
        if text[at] == '}':
            return found
        at = blanks(at + 1)


def judge(payload):
    """(usable, trades): `usable` where the message is no dead letter, `trades` the texts of its trades, as bytes."""
    try:
        text = payload.decode()
        message = _READER.decode(text)
        _checked(message)
        if not isinstance(message, Members):
            raise Bad('no object')
    except (ValueError, RecursionError):
        return False, []
    names, fields = [name for name, _ in message], dict(message)
    twice = names.count('data') > 1 or names.count('type') > 1
    if not isinstance(fields.get('type'), str):
        return False, []
    if fields['type'] != 'trade':
        return not twice, []
    if isinstance(fields.get('data'), Members) or not isinstance(fields.get('data'), list):
        return False, []
    good = [_is_trade(element) for element in fields['data']]
    return all(good) and not twice, [element.encode() for element, is_good in zip(_elements(text), good) if is_good]
