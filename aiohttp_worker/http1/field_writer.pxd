# Types of field_writer.py, and the functions that look at characters: they have the names, the arguments and the results of those
# in octets.py.
#
# Only strings of ASCII are looked at by pointers; they do not change, and `write_fields` runs no code but its own between the
# check of a pair and its copy.

cimport cython
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef extern from *:
    """
    static const unsigned char TOKENS[256] = {
        ['!'] = 1, ['#' ... '\\''] = 1, ['*' ... '+'] = 1, ['-' ... '.'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1,
        ['^' ... 'z'] = 1, ['|'] = 1, ['~'] = 1,
    };
    static inline int is_token_byte(unsigned char byte) { return TOKENS[byte]; }
    """
    bint is_token_byte(unsigned char byte) noexcept

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void* PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

ctypedef const unsigned char* Bytes

cdef long DATE, LENGTH, ODD, SERVER


@cython.locals(found=long, length=Py_ssize_t, kind=long)
cpdef tuple write_fields(list headers)


cdef inline bint is_same(Bytes p, const char* lower, Py_ssize_t size) noexcept:
    """Return whether the token at *p* is *lower* but for its case; both have *size* characters."""
    cdef Py_ssize_t i
    for i in range(size):
        if (p[i] | 32) != <unsigned char>lower[i]:
            return False
    return True


cdef inline long name_kind(Bytes p, Py_ssize_t size) noexcept:
    if size == 14:
        return LENGTH if is_same(p, "content-length", size) else 0
    if size == 4:
        return DATE if is_same(p, "date", size) else 0
    if size == 6:
        return SERVER if is_same(p, "server", size) else 0
    if size == 10:
        return ODD if is_same(p, "connection", size) or is_same(p, "keep-alive", size) else 0
    if size == 7:
        return ODD if is_same(p, "trailer", size) or is_same(p, "upgrade", size) else 0
    if size == 17:
        return ODD if is_same(p, "transfer-encoding", size) else 0
    if size == 16:
        return ODD if is_same(p, "proxy-connection", size) else 0
    return ODD if size == 2 and is_same(p, "te", size) else 0


cdef inline long field_kind(object pair) except -1:
    cdef object name, value
    cdef Bytes p
    cdef Py_ssize_t size, i
    cdef unsigned char bad = 0
    if type(pair) is not tuple or len(<tuple>pair) != 2:
        return ODD
    name = (<tuple>pair)[0]
    value = (<tuple>pair)[1]
    if not PyUnicode_CheckExact(name) or not PyUnicode_CheckExact(value):
        return ODD
    if not PyUnicode_IS_COMPACT_ASCII(name) or not PyUnicode_IS_COMPACT_ASCII(value):
        return ODD
    p = <Bytes>PyUnicode_1BYTE_DATA(value)
    size = PyUnicode_GET_LENGTH(value)
    for i in range(size):
        bad |= (p[i] < 32) | (p[i] == 127)
    if bad or (size and (p[0] == 32 or p[size - 1] == 32)):
        return ODD
    p = <Bytes>PyUnicode_1BYTE_DATA(name)
    size = PyUnicode_GET_LENGTH(name)
    if size == 0:
        return ODD
    for i in range(size):
        if not is_token_byte(p[i]):
            return ODD
    return name_kind(p, size)


cdef inline bytes join_lines(list headers):
    cdef Py_ssize_t size = 0, part
    cdef bytes lines
    cdef char* q
    cdef char* end
    for pair in headers:
        size += PyUnicode_GET_LENGTH((<tuple>pair)[0]) + PyUnicode_GET_LENGTH((<tuple>pair)[1]) + 4
    lines = PyBytes_FromStringAndSize(NULL, size)
    q = PyBytes_AS_STRING(lines)
    end = q + size
    for pair in headers:
        name = (<tuple>pair)[0]
        value = (<tuple>pair)[1]
        part = PyUnicode_GET_LENGTH(name)
        assert end - q >= part + PyUnicode_GET_LENGTH(value) + 4
        memcpy(q, PyUnicode_1BYTE_DATA(name), part)
        q += part
        memcpy(q, b": ", 2)
        q += 2
        part = PyUnicode_GET_LENGTH(value)
        memcpy(q, PyUnicode_1BYTE_DATA(value), part)
        q += part
        memcpy(q, b"\r\n", 2)
        q += 2
    assert q == end
    return lines


cdef inline Py_ssize_t read_length(str value) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(value), i, number = 0
    cdef Bytes p = <Bytes>PyUnicode_1BYTE_DATA(value)
    if not 1 <= size <= 18:
        return -1
    for i in range(size):
        if not 48 <= p[i] <= 57:
            return -1
        number = number * 10 + p[i] - 48
    return number
