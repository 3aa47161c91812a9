Hola
¡Hola!
Hola.
Hola
¡Hola!
Hola.
¡Hola!
¡Hola!
Hola
¡Hola, Anna!
Buenos días, señor Smith.
Hola, ¿cómo estás?
Hola, ¿cómo está usted?
Hola, ¿qué tal?
¡Hola a todos!
Hola a todos.
¡Hola, amigo mío!
¡Hola, Lucas!
Buenos días
¡Buenos días!
Buenos días.
Buenos días, señora Weber.
¡Buenos días, Emma!
Buenos días, ¿has dormido bien?
Buenas tardes
¡Buenas tardes!
Buenas tardes, señor Garcia.
Buenas noches
¡Buenas noches!
Buenas tardes.
Buenas noches, señora Dubois.
Buenas noches, señoras y señores.
Buenas noches
¡Buenas noches!
Buenas noches.
¡Buenas noches, mamá!
¡Buenas noches, que duermas bien!
Adiós
¡Adiós!
Adiós.
Adiós, señor Martin.
¡Adiós y gracias!
Adiós
¡Adiós!
¡Adiós, Sarah!
¡Adiós, hasta pronto!
Hasta pronto
¡Hasta pronto!
Hasta pronto.
Hasta luego
¡Hasta luego!
Hasta luego.
¡Hasta luego, Paul!
Hasta mañana
¡Hasta mañana!
Hasta mañana.
¡Hasta mañana, Nora!
¡Hasta el lunes!
¡Hasta la semana que viene!
¡Hasta la próxima!
¡Hasta esta noche!
Bienvenido
¡Bienvenidos!
¡Bienvenido!
Bienvenido a nuestra casa.
¡Bienvenidos a Berlín!
¡Bienvenidos a París!
¡Bienvenido a casa!
¿Cómo estás?
¿Cómo está usted?
¿Qué tal?
¿Cómo te va?
¿Cómo estás hoy?
¿Cómo está tu familia?
Estoy bien.
Estoy bien, gracias.
Estoy bien, gracias. ¿Y tú?
Muy bien, gracias.
No muy bien.
¿Y usted?
¿Y tú?
Encantado de conocerte.
Encantado de conocerle.
¡Encantado!
Mucho gusto.
Mucho gusto, señora Keller.
Me alegro de volver a verte.
¡Cuánto tiempo sin verte!
¿Qué hay de nuevo?
¿Qué pasa?
¿Qué estás haciendo?
¿Dónde vives?
¿Dónde vive usted?
¿Dónde trabajas?
¿De dónde eres?
¿De dónde es usted?
¿Cuántos años tienes?
¿Cuántos años tiene usted?
Tengo veinte años.
¿Está usted casado?
Tengo dos hijos.
Gracias
¡Gracias!
Gracias.
Gracias
¡Gracias!
Muchas gracias
¡Muchas gracias!
Muchas gracias.
¡Muchas gracias!
¡Muchas gracias!
Gracias por tu ayuda.
Muchas gracias por su ayuda.
Gracias por todo.
Gracias por la invitación.
Gracias, David.
De nada.
¡De nada!
De nada
Ha sido un placer.
Por favor
Por favor.
¡Por favor!
Disculpe
Disculpe.
¡Disculpe!
Disculpe, ¿qué hora es?
Disculpe, ¿dónde está la salida?
Lo siento
Lo siento.
Lo siento mucho.
Lo siento, no lo sé.
Siento llegar tarde.
Perdón
¡Perdón!
Lo siento.
No hay problema
No hay problema.
¡No hay problema!
No importa.
No importa.
No te preocupes.
¡No se preocupe!
Sí
Sí.
¡Sí!
No
No.
¡No!
Sí, por favor.
No, gracias.
Sí, por supuesto.
Quizás
Quizás.
Tal vez.
Por supuesto
¡Por supuesto!
Por supuesto.
Por supuesto que no.
De acuerdo
De acuerdo.
Está bien.
De acuerdo.
¡Exacto!
Es verdad.
No es verdad.
¿De verdad?
Creo que sí.
Eso espero.
Estoy de acuerdo.
¡Genial!
¡Buen provecho!
Buen provecho
¡Salud!
¡Felicidades!
Felicidades
Feliz cumpleaños
¡Feliz cumpleaños!
¡Feliz cumpleaños, Lisa!
Feliz Navidad
¡Feliz Navidad!
¡Feliz Año Nuevo!
Buena suerte
¡Buena suerte!
¡Que tengas un buen día!
¡Que tengas una buena tarde!
¡Buen fin de semana!
¡Buen viaje!
¡Que te diviertas!
¡Que te mejores!
¡Que duermas bien!
¡Cuídate!
Saludos cordiales
Te quiero.
¡Te amo!
Te echo de menos.
¡Adelante!
Siéntese, por favor.
Estás en tu casa.
¿Cómo se llama usted?
¿Cómo te llamas?
Me llamo Anna.
Mi nombre es Anna.
Me llamo David.
Me llamo Priya.
Mi nombre es Ahmed.
Me llamo Yuki.
Me llamo Olga.
Me llamo Sarah Miller.
Mi nombre es Thomas Müller.
Me llamo Julia
Me llamo Bruno y vengo de Italia.
Hola, me llamo Clara.
Hola, soy Mia.
Soy Paul.
Soy Laura.
Soy Kevin, ¿y tú?
Soy el doctor Novak.
Esta es Laura.
Este es mi amigo Omar.
Esta es mi hermana Emma.
Esta es mi mujer Elena.
Este es el señor Tanaka.
Esta es la señora Schneider.
Se llama Marco.
Ella se llama Fatima.
Mi hijo se llama Leo.
¿Está Daniel en casa?
¿Está la señora Lopez?
¿Dónde está Nina?
¿Conoces a Martin?
¿Es usted el señor Brown?
Busco al señor Nowak.
¿Puedo hablar con la señora Rossi?
Soy el hermano de Victor.
Estimado señor Silva:
Querida Alice:
¡Gracias, Simon!
¡Espérame, Iris!
No lo sé.
No entiendo.
No le entiendo.
Entiendo.
¿Entiendes?
¿Me entiende usted?
¿Habla usted inglés?
¿Habla usted alemán?
¿Hablas francés?
¿Hablas español?
Hablo un poco de alemán.
No hablo español.
Estoy aprendiendo francés.
¿Podría repetirlo, por favor?
Hable más despacio, por favor.
¿Qué significa esto?
¿Qué significa esta palabra?
¿Cómo se dice eso en alemán?
¿Cómo se dice eso en inglés?
¿Qué es esto?
¿Quién es ese?
¿Dónde está el baño?
¿Dónde está la estación de tren?
¿Dónde está la parada de autobús?
¿Dónde está el hotel?
¿Dónde está la farmacia?
¿Dónde está el aeropuerto?
¿Dónde está el hospital?
¿Dónde está la oficina de correos?
¿Dónde está la entrada?
¿Hay un banco cerca de aquí?
¿Dónde puedo comprar un billete?
¿A qué distancia está la estación?
No está lejos.
Gire a la izquierda.
Gire a la derecha.
Siga todo recto.
¿Cuándo sale el tren?
¿Cuándo llega el autobús?
El tren lleva retraso.
Un billete para París, por favor.
Dos billetes, por favor.
¿Ida o ida y vuelta?
¿Está libre este asiento?
Necesito un taxi.
¿Podría llamarme un taxi?
Tengo una reserva.
¿Tiene una habitación libre?
Una habitación individual, por favor.
La llave, por favor.
Mi pasaporte, por favor.
Su pasaporte, por favor.
He perdido mi pasaporte.
He perdido mi llave.
¿Cuánto cuesta?
¿Cuánto es?
¿Cuánto cuesta esto?
Es demasiado caro.
Es barato.
¿Puedo pagar con tarjeta?
La cuenta, por favor.
¡La cuenta, por favor!
El menú, por favor.
Un café, por favor.
Un té, por favor.
Una cerveza, por favor.
Dos cervezas, por favor.
Una mesa para dos, por favor.
Quisiera un café.
Quisiera pedir.
Quisiera pagar.
¿Qué desea?
¿Algo más?
Eso es todo.
Soy vegetariano.
Tengo hambre.
Tengo sed.
Estoy cansado.
Tengo frío.
Tengo calor.
Tengo miedo.
Sabe bien.
¡Socorro!
¡Ayúdame!
¡Alto!
¡Ten cuidado!
¡Cuidado!
¡Date prisa!
¡Vamos!
¡Espera!
Un momento, por favor.
¡Llame a un médico!
¡Llame a la policía!
¡Llame a una ambulancia!
Necesito un médico.
Necesito ayuda.
¿Puedes ayudarme?
¿Podría ayudarme, por favor?
¿Puedo ayudarle?
Estoy enfermo.
Me duele la cabeza.
Tengo fiebre.
¿Dónde le duele?
Estoy perdido.
¿Qué hora es?
Son las tres.
Son las ocho y media.
¿A qué hora?
¿Qué día es hoy?
Hoy es martes.
¿Qué tiempo hace?
Está lloviendo.
Hoy hace frío.
Brilla el sol.
¿Cuál es tu número de teléfono?
¿Cuál es su dirección?
¿Puedo entrar?
¿Puedo fumar aquí?
No se permite fumar aquí.
¿Te gusta?
Me gusta mucho.
No me gusta.
¿Por qué?
¿Por qué no?
¿Quién?
¿Dónde?
¿Cuándo?
¿Qué?
Estoy en casa.
No tengo tiempo.
Soy de Alemania.
Vengo de Alemania.
Vengo de España.
Él viene de Polonia.
Somos de Canadá.
Vivo en Suiza.
Ella vive en México.
Ella habla francés.
Él habla chino.
Soy alemán.
Soy francés.
Soy español.
Ella es italiana.
Él es estadounidense.
¿Es usted inglés?
lunes
martes
miércoles
jueves
viernes
sábado
domingo
enero
febrero
marzo
abril
mayo
junio
julio
agosto
septiembre
octubre
noviembre
diciembre
primavera
verano
otoño
invierno
uno
dos
tres
cuatro
cinco
seis
siete
ocho
nueve
diez
once
doce
trece
catorce
quince
dieciséis
diecisiete
dieciocho
diecinueve
veinte
treinta
cuarenta
cincuenta
sesenta
setenta
ochenta
noventa
cien
mil
millón
rojo
azul
verde
amarillo
negro
blanco
gris
marrón
rosa
naranja
morado
frío
caliente
caro
fácil
difícil
largo
corto
joven
importante
Alemania
Francia
España
Inglaterra
Irlanda
Italia
Portugal
Austria
Suiza
Bélgica
Países Bajos
Dinamarca
Suecia
Noruega
Finlandia
Islandia
Polonia
Hungría
Grecia
Turquía
Rusia
Ucrania
Rumanía
Estados Unidos
Canadá
México
Brasil
Argentina
Chile
Perú
China
Japón
India
Corea del Sur
Vietnam
Egipto
Marruecos
Sudáfrica
Australia
Europa
inglés
alemán
francés
español
italiano
portugués
neerlandés
sueco
danés
noruego
polaco
checo
húngaro
griego
ruso
turco
árabe
hebreo
chino
japonés
Buscar
Resultados de la búsqueda
No se han encontrado resultados.
Abrir
Abrir en una ventana nueva
Abrir documento
Cerrar
Cerrar ventana
Guardar
Guardar como
Guardar como...
Guardar cambios
Cancelar
Eliminar
Eliminar cuenta
Editar
Editar perfil
Copiar
Copiar enlace
Pegar
Cortar
Deshacer
Deshacer el último cambio
Repetir
Seleccionar todo
Seleccionar
Reemplazar
Cambiar nombre
Cambiar
Cambiar imagen
Mover
Añadir
Añadir contacto
Quitar
Ayuda
Ayuda y contacto
Configuración
Configuración de idioma
Opciones
Nombre
Nombre de pila
Apellido
Nombre de usuario
Usuario
Contraseña
Contraseña incorrecta
¿Ha olvidado su contraseña?
Introduzca su contraseña.
Introduzca su nombre.
Introduzca un nuevo nombre de usuario.
Iniciar sesión
Cerrar sesión
Registrarse
Crear una cuenta
Mi cuenta
Correo electrónico
Dirección de correo electrónico
Dirección
Nueva dirección
Código postal
País
Teléfono
Número de teléfono
Fecha
Fecha de nacimiento
Archivo
Archivos
Nuevo archivo
Elegir un archivo
No se ha podido abrir el archivo.
Archivo no encontrado
Carpeta
La carpeta está vacía.
Crear una carpeta nueva
Siguiente
Página siguiente
Página anterior
Atrás
Volver a la página de inicio
Continuar
Continuar sin guardar
Enviar
Enviar correo electrónico
Compartir
Imprimir
Imprimir documento
Descargar
Descargar la aplicación
Subir
Subir una imagen
Inicio
Iniciar
Página
Página no encontrada
Idioma
Elegir un idioma
Traducir
Traducción
Error
Se ha producido un error.
Advertencia
Mensaje
Nuevo mensaje
Su mensaje ha sido enviado.
¿Está seguro?
¿Seguro que desea eliminar este archivo?
¿Desea guardar los cambios?
Sus cambios se han guardado.
Intentar de nuevo
Inténtelo de nuevo más tarde.
Espere, por favor...
Cargando...
Precio
Pagar
Comprar ahora
Añadir al carrito
Carrito
Tramitar pedido
Mis pedidos
Total
Envío gratuito
Aceptar
Aceptar todas las cookies
Rechazar
Confirmar
Política de privacidad
Condiciones de uso
Sobre nosotros
Contacto
Leer más
Mostrar más
señor Brown
El señor Brown está aquí.
El señor y la señora Keller viven en Hamburgo.
Buenas noches, señor Jones.
Buenos días, señora Fischer.
¡Hola, señor Santos!
La señora Weber no está en casa.
El señor Singh está enfermo.
El señor Martin trabaja en un banco.
La señora Olsen es nuestra profesora.
La señora Tanaka es nuestra nueva compañera.
El señor Schmidt quisiera hablar con usted.
Quisiera hablar con el señor Lopez.
¿Está el señor Evans?
El doctor Novak le atenderá ahora.
Gracias, doctor Meyer.
Gracias, señor Rossi.
Estimada señora Becker:
Estimados señores:
Atentamente
Señor presidente, le damos las gracias.
Señoras y señores
¡Señoras y señores!
¡Hola, mundo!
Hola, tengo una pregunta.
Hola, encantado.
¡Buenos días a todos!
¡Bienvenido de nuevo!
¡Cumpleaños feliz!
¡Hasta luego!
¡Muchísimas gracias!
¡Lo siento mucho!
¡Ayúdeme, por favor!
¿Cómo está usted, señor Green?
