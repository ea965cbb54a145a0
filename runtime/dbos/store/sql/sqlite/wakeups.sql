-- notify
-- Nobody is told: processes watch the file.
SELECT 1 WHERE false
