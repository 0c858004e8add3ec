-- Asks Volary as `volary retry` does. Asked twice of the same state it is one request.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["serving.volary.dev/request"] = "retry@" .. (obj.metadata.resourceVersion or "0")
return obj
