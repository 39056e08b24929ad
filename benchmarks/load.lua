-- The requests of the workloads, and the results in numbers that need no reading of units.
-- wrk -s load.lua URL -- SHAPE

local browser = {
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
  ["Cache-Control"] = "max-age=0",
  ["Connection"] = "keep-alive",
  ["Cookie"] = "session=5f2b7c9d1e3a4b6c8d0f; theme=dark; consent=1",
  ["Referer"] = "http://127.0.0.1/articles/2024/",
  ["Upgrade-Insecure-Requests"] = "1",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}

local shapes = {}

function shapes.plain() end

-- With Host: ten fields.
function shapes.browser()
  for name, value in pairs(browser) do wrk.headers[name] = value end
end

local function post(size)
  wrk.method = "POST"
  wrk.body = string.rep("x", size)
  wrk.headers["Content-Type"] = "application/octet-stream"
end

function shapes.post_1_kb() post(1000) end

function shapes.post_1_mb() post(1000000) end

-- The path, the query and a cookie change with every request, and come again only after VARIANTS others, so that
-- nothing a server remembers of a few hundred heads helps it. They are made before the run: wrk has its own work to do.
local VARIANTS = 20000

local function in_turn(variants)
  local next = math.random(#variants)
  function request()
    next = next % #variants + 1
    return variants[next]
  end
end

local function fill(head, number, path)
  return (head:gsub("@%u+@", {
    ["@PATH@"] = path,
    ["@COOKIE@"] = number .. "5f2b7c9d1e3a",
    ["@ID@"] = number .. "-7f3a",
    ["@PEER@"] = "198.51." .. math.floor(number / 250) % 250 .. "." .. number % 250,
  }))
end

local function vary()
  wrk.path = "/items/@PATH@"
  wrk.headers["Cookie"] = "session=@COOKIE@; theme=dark; consent=1"
  local head = wrk.format()
  local variants = {}
  for number = 1, VARIANTS do
    local path = 1000000 + number
    variants[number] = fill(head, path, path .. "?page=" .. number % 97)
  end
  in_turn(variants)
end

function shapes.plain_varying() vary() end

function shapes.browser_varying()
  shapes.browser()
  vary()
end

local function behind_a_proxy()
  shapes.browser()
  wrk.headers["X-Request-Id"] = "@ID@"
  wrk.headers["X-Forwarded-For"] = "@PEER@"
end

-- With Host: twelve fields, of which three are new with every request.
function shapes.vary()
  behind_a_proxy()
  vary()
end

-- Of ten requests three repeat one of eight heads, and one of the seven others is a POST of a form. The last digit of a page's
-- number, to base 8, is its size.
local PAGES = 8
local REST = 1000 -- milliseconds
local AT_REST = 128 -- connections

function shapes.mixed()
  behind_a_proxy()
  wrk.path = "/pages/@PATH@"
  wrk.headers["Cookie"] = "session=@COOKIE@; theme=dark; consent=1"
  local get = wrk.format()
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  local form = wrk.format("POST", nil, nil, "text=" .. string.rep("x", 995))
  local variants = {}
  for number = 1, VARIANTS do
    local kind, page = number % 10, math.floor(number / 10) % PAGES
    local unique = (kind < 3 and PAGES or 1000000 + number * PAGES) + page
    variants[number] = fill(kind == 3 and form or get, unique, unique .. "?from=" .. unique % 97)
  end
  in_turn(variants)

  -- A rest begins as often as keeps half of the connections at rest, whatever the server's pace; the next one to ask takes it.
  local ffi = require("ffi")
  ffi.cdef("struct timeval { long seconds; long microseconds; }; int gettimeofday(struct timeval *now, void *zone);")
  local now = ffi.new("struct timeval")
  local due = 0
  function delay()
    ffi.C.gettimeofday(now, nil)
    local milliseconds = tonumber(now.seconds) * 1000 + tonumber(now.microseconds) / 1000
    if milliseconds < due then return 0 end
    due = math.max(due + REST / AT_REST, milliseconds) -- what is far behind is not made up for: all would rest at once
    return REST
  end
end

function init(arguments)
  math.randomseed(os.time())
  shapes[arguments[1]]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "maximum": %d, ' ..
    '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "timeouts": %d, "status_errors": %d}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
