# Types of head_scanner.py, and the functions that look at bytes: they have the names, the arguments and the results of those in
# octets.py.
#
# What keeps pointers within the head: `head_end` has found CR LF CR LF, `stop` points to the first of these, and bytes do not
# change. So there is a CR at `stop`, which is no character of a name, a target or a space, and each loop ends there at the latest.
# `data` holds the bytes for as long as there are pointers into them. Compiled with AIOHTTP_WORKER_CHECKED, each byte and each span
# that is looked at is checked.

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1

cdef extern from *:
    """
    enum { KIND_TOKEN = 1, KIND_TARGET = 2, KIND_QUERY_OR_ESCAPE = 4, KIND_HOST = 8 };
    #define ALL_KINDS (KIND_TOKEN | KIND_TARGET | KIND_HOST)
    #define TOKEN_AND_TARGET (KIND_TOKEN | KIND_TARGET)
    static const unsigned char KINDS[256] = {
        ['!'] = TOKEN_AND_TARGET, ['"'] = KIND_TARGET, ['#'] = KIND_TOKEN, ['$'] = TOKEN_AND_TARGET,
        ['%'] = KIND_TOKEN | KIND_QUERY_OR_ESCAPE, ['&' ... '\\''] = TOKEN_AND_TARGET, ['(' ... ')'] = KIND_TARGET,
        ['*' ... '+'] = TOKEN_AND_TARGET, [','] = KIND_TARGET, ['-' ... '.'] = ALL_KINDS, ['/'] = KIND_TARGET,
        ['0' ... '9'] = ALL_KINDS, [':' ... '>'] = KIND_TARGET, ['?'] = KIND_QUERY_OR_ESCAPE, ['@'] = KIND_TARGET,
        ['A' ... 'Z'] = ALL_KINDS, ['[' ... ']'] = KIND_TARGET, ['^' ... '`'] = TOKEN_AND_TARGET, ['a' ... 'z'] = ALL_KINDS,
        ['{'] = KIND_TARGET, ['|'] = TOKEN_AND_TARGET, ['}'] = KIND_TARGET, ['~'] = TOKEN_AND_TARGET,
    };
    #ifdef AIOHTTP_WORKER_CHECKED
    #include <stdlib.h>
    #define CHECK_SPAN(p, q, first, stop) ((p) < (first) || (q) < (p) || (q) > (stop) ? abort() : (void)0)
    #else
    #define CHECK_SPAN(p, q, first, stop) ((void)0)
    #endif
    static inline int byte_kind(unsigned char byte) { return KINDS[byte]; }
    """
    enum: KIND_TOKEN, KIND_TARGET, KIND_QUERY_OR_ESCAPE, KIND_HOST
    void CHECK_SPAN(const unsigned char* p, const unsigned char* q, const unsigned char* first, const unsigned char* stop) noexcept
    int byte_kind(unsigned char byte) noexcept

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void* PyUnicode_1BYTE_DATA(object text)
    int PyUnicode_KIND(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

ctypedef const unsigned char* Bytes

cdef long BITS, CLOSE, CODING, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, KEEP_ALIVE, LENGTH, MALFORMED, ODD, TYPE, _ONCE, _JUDGED
cdef long ESCAPED, HTTP_1_0
cdef tuple METHODS


@cython.final
cdef class HeadScanner:
    cdef object learn
    cdef tuple keys
    cdef Py_ssize_t longest_line, most_fields, longest_field
    cdef readonly Py_ssize_t content_length
    cdef list names, name_keys, name_flags
    # Of the head that is read now. Those after the pointers are for the plain form.
    cdef bytes data
    cdef Bytes first       # its first byte
    cdef Bytes at          # what comes next
    cdef Bytes stop        # the CR of the line end before the empty line
    cdef Bytes value, rest_end  # the value of the field
    cdef Py_ssize_t controls  # bytes of line ends, and what is no character of a field, that are still to come
    cdef bint is_ascii
    cdef Py_ssize_t fields
    cdef object places, lines, rest

    @cython.locals(end=Py_ssize_t, size=Py_ssize_t, place=Py_ssize_t, flags=long, meaning=long, key=str, value=str)
    cpdef object read(self, bytes data, Py_ssize_t start, dict table)
    @cython.locals(fits=bint)
    cdef long note(self, long flags, long meaning, str value) except -1
    cdef object learn_name(self, Py_ssize_t place, str name)


cpdef str joined(long meaning, object values, str value)


cdef inline unsigned char byte_at(HeadScanner self, Bytes p) noexcept:
    CHECK_SPAN(p, p, self.first, self.stop)
    return p[0]


cdef inline Bytes find(HeadScanner self, unsigned char byte, Bytes p, Bytes q) noexcept:
    """Return where *byte* is between *p* and *q*, *q* if it is not."""
    CHECK_SPAN(p, q, self.first, self.stop)
    cdef Bytes found = <Bytes>memchr(p, byte, q - p)
    return q if found == NULL else found


cdef inline str text(HeadScanner self, Bytes p, Bytes q):
    """Return the bytes from *p* to *q* as latin-1."""
    CHECK_SPAN(p, q, self.first, self.stop)
    cdef str result
    if self.is_ascii and q - p > 1:
        result = PyUnicode_New(q - p, 127)
        memcpy(PyUnicode_1BYTE_DATA(result), p, q - p)
        return result
    return PyUnicode_DecodeLatin1(<const char*>p, q - p, NULL)


cdef inline Py_ssize_t head_end(bytes data, Py_ssize_t start) noexcept:
    cdef Bytes first = <Bytes>PyBytes_AS_STRING(data)
    cdef Bytes stop = first + PyBytes_GET_SIZE(data)
    cdef Bytes p = first + start
    if start < 0:
        return -1
    while stop - p >= 4:
        p = <Bytes>memchr(p, 13, stop - p - 3)
        if p == NULL:
            return -1
        if p[1] == 10 and p[2] == 13 and p[3] == 10:
            return p - first
        p += 1
    return -1


cdef inline bint open_head(HeadScanner self, bytes data, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Bytes p
    cdef Py_ssize_t size = end - start, i = 0, stop, total = 0
    cdef unsigned char high = 0, few
    self.data = data
    self.first = self.at = p = <Bytes>PyBytes_AS_STRING(data) + start
    self.stop = p + size
    self.fields = 0
    # In rounds in which a counter of one byte cannot overflow: the compiler makes vectors of this.
    while i < size:
        stop = i + 224 if size - i > 224 else size
        few = 0
        for i in range(i, stop):
            few += ((p[i] < 32) & (p[i] != 9)) | (p[i] == 127)
            high |= p[i]
        i = stop
        total += few
    self.controls = total
    self.is_ascii = high < 128
    return True


cdef inline long read_line(HeadScanner self, dict table) except -1:
    cdef Bytes p = self.at, end = find(self, 13, p, self.stop), target, question, q
    cdef long flags = 0
    cdef Py_ssize_t size = end - p
    cdef str path, whole, name = None
    self.at = end
    if size < 14 or 0 < self.longest_line < size:  # GET / HTTP/1.1
        return ODD
    if memcmp(p, b"GET ", 4) == 0:
        target = p + 4
    else:
        target = find(self, 32, p, end)
        for flags in range(1, 8):
            if flags == 7:
                return ODD
            name = <str>METHODS[flags]
            if PyUnicode_GET_LENGTH(name) == target - p and memcmp(PyUnicode_1BYTE_DATA(name), p, target - p) == 0:
                break
        target += 1
    # All of these are before the CR at `end`.
    q = target
    if byte_at(self, q) != 47:
        return ODD
    while byte_kind(byte_at(self, q)) & KIND_TARGET:
        q += 1
    while byte_at(self, q) == 37:
        flags |= ESCAPED
        q += 1
        while byte_kind(byte_at(self, q)) & KIND_TARGET:
            q += 1
    question = q
    while byte_kind(byte_at(self, q)) & (KIND_TARGET | KIND_QUERY_OR_ESCAPE):
        q += 1
    if end - q != 9 or memcmp(q, b" HTTP/1.", 8) != 0:
        return ODD
    if q[8] != 49:
        if q[8] != 48:
            return ODD
        flags |= HTTP_1_0
        table[self.keys[1]] = "HTTP/1.0"
    if flags & 7:
        table[self.keys[0]] = name
    whole = path = text(self, target, q)
    if question != q:
        path = text(self, target, question)
        table[self.keys[3]] = text(self, question + 1, q)
    table[self.keys[2]] = path
    table[self.keys[4]] = whole
    table[self.keys[5]] = whole
    return flags


cdef inline Py_ssize_t mark_of(Bytes p, Py_ssize_t size) noexcept:
    """Return a number below 1024 that depends on the size and the first and last eight of so many bytes."""
    cdef uint64_t a = 0, b = 0
    cdef uint32_t c = 0, d = 0
    if size >= 8:
        memcpy(&a, p, 8)
        memcpy(&b, p + size - 8, 8)
    elif size >= 4:
        memcpy(&c, p, 4)
        memcpy(&d, p + size - 4, 4)
        a = c
        b = d
    else:
        a = p[0]
        b = p[size - 1] + (p[size >> 1] << 8)
    a = (a ^ (b * <uint64_t>0x9E3779B97F4A7C15)) + <uint64_t>size
    return <Py_ssize_t>((a * <uint64_t>0x9E3779B97F4A7C15) >> 54)


cdef inline Py_ssize_t next_name(HeadScanner self) except -3:
    cdef Bytes p = self.at, q, end
    cdef Py_ssize_t place, at
    cdef bytes known
    if p == self.stop:
        self.data = None
        return -1 if self.controls == 0 else -2
    if byte_at(self, p + 1) != 10:
        return -2
    self.controls -= 2
    self.fields += 1
    p += 2
    end = find(self, 13, p, self.stop)
    q = find(self, 58, p, end)
    if q == end or q == p:
        return -2
    if self.fields > self.most_fields or end - p + 2 > self.longest_field:
        return -2
    self.at = end
    place = mark_of(p, q - p)
    known = self.names[place]
    if PyBytes_GET_SIZE(known) != q - p or memcmp(PyBytes_AS_STRING(known), p, q - p) != 0:
        for at in range(q - p):
            if not byte_kind(byte_at(self, p + at)) & KIND_TOKEN:
                return -2
        if q - p > 64:
            place = 1024  # not kept
        self.learn_name(place, text(self, p, q))
    q += 1
    while byte_at(self, q) == 32 or byte_at(self, q) == 9:
        q += 1
    while end > q and (byte_at(self, end - 1) == 32 or byte_at(self, end - 1) == 9):
        end -= 1
    self.value = q
    self.rest_end = end
    return place


cdef inline str take_value(HeadScanner self):
    return text(self, self.value, self.rest_end)


cdef inline bint is_plain_host(str value) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(value), i = 0
    cdef Bytes p = <Bytes>PyUnicode_1BYTE_DATA(value)
    while i < size and byte_kind(p[i]) & KIND_HOST:
        i += 1
    if i == size:
        return size > 0
    if i == 0 or p[i] != 58 or size - i > 6:
        return False
    for i in range(i + 1, size):
        if not 48 <= p[i] <= 57:
            return False
    return True


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
