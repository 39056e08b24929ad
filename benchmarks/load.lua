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

local function vary()
  wrk.path = "/items/@PATH@"
  wrk.headers["Cookie"] = "session=@COOKIE@; theme=dark; consent=1"
  local head = wrk.format()
  local variants = {}
  for number = 1, VARIANTS do
    local path = 1000000 + number
    variants[number] = head:gsub("@%u+@", {
      ["@PATH@"] = path .. "?page=" .. number % 97,
      ["@COOKIE@"] = path .. "5f2b7c9d1e3a",
      ["@ID@"] = path .. "-7f3a",
      ["@PEER@"] = "198.51." .. math.floor(number / 250) % 250 .. "." .. number % 250,
    })
  end
  local next = math.random(VARIANTS)
  function request()
    next = next % VARIANTS + 1
    return variants[next]
  end
end

function shapes.plain_varying() vary() end

function shapes.browser_varying()
  shapes.browser()
  vary()
end

-- With Host: twelve fields, of which three are new with every request.
function shapes.vary()
  shapes.browser()
  wrk.headers["X-Request-Id"] = "@ID@"
  wrk.headers["X-Forwarded-For"] = "@PEER@"
  vary()
end

function init(arguments)
  math.randomseed(os.time())
  shapes[arguments[1]]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "maximum": %d, ' ..
    '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "timeouts": %d, "status_errors": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
