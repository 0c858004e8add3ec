-- Asks Volary as `volary rollback` does. Asked twice of the same state it is one request.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["serving.volary.dev/request"] = "rollback@" .. (obj.metadata.resourceVersion or "0")
return obj
