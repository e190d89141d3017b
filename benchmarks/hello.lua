-- Path, query and cookie differ from request to request, so that nothing can be remembered by the request's bytes.
local n = 0
local fixed = " HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: wrk\r\nAccept: */*\r\nCookie: session="
request = function()
  n = n + 1
  return "GET /hello/" .. n .. "?page=" .. n % 97 .. "&token=" .. n * 7919 .. fixed .. n * 104729 .. "\r\n\r\n"
end
