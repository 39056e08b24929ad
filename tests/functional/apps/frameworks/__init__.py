"""One small site, written with each framework.

GET  /hello                plain text
POST /form                 the fields of a form, as JSON
POST /multipart            the fields and the sizes of the files, as JSON
POST /json                 the document, back
GET  /download             the file named by the environment variable DOWNLOAD
GET  /missing              404 of the framework
GET  /fail                 an exception
GET  /events?gate=&key=    an asynchronous body: one event, the gate, another
"""
